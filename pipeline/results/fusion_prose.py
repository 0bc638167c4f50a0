"""The written analysis of fusions and downsamplings: sentences that stand only where the numbers bear them.

What no test shows is called not distinguishable; of causes, only what a net does by construction is told.
"""

from collections.abc import Mapping
from functools import partial
from itertools import combinations
from math import prod

from pipeline.report.fusion.comparisons import Ablation, Comparison, Figures
from pipeline.report.text import with_interval
from pipeline.results.prose import (
    LEARN,
    READING,
    SINGLE,
    at_chance,
    compose,
    ends,
    extreme,
    fusion,
    having,
    judged,
    learnt,
    listed,
    of,
    same,
    small,
    span,
    tested,
)

NO_ABLATION = "No fusion of the matrix was trained with more than one downsampling, so there is nothing to compare.\n"
WHAT = {
    "maxpool": "convolves every place, then keeps the largest of neighbouring values",
    "strided": "puts the stride into the same convolution, which computes fewer places and needs no pool",
    "strided_extra": "puts one more convolution, a stride-2 one, in the place of the pool",
}
Twins = Mapping[str, str]  # cell -> the one it is held against, of the same fusion


def _pairs(gap: float, pairs: int) -> str:
    return f"{small(gap)} or {abs(gap) * pairs:.1f} of the {pairs:,} test pairs"


def comparison(study: Comparison, pairs: int) -> str:
    """Which fusion is best, by how much and at what cost; `pairs` of the test split."""
    lead = study.cells[study.leader]
    return compose(
        [
            [
                f"By validation loss, {lead['val_loss']:.4f}, `{study.leader}` leads; on the test pairs its "
                f"accuracy is {with_interval(lead, 'accuracy')}, where chance is {lead['chance']:.4f}.",
                _range(of(study.cells), pairs),
                at_chance(study.cells, lead["chance"]),
            ],
            _beside_leader(study, pairs),
            _sensors(study, pairs),
            [
                f"Calibration error (ECE), how far confidence is from accuracy, is {ends(of(study.cells, 'ece'))}; the "
                f"leader has {lead['ece']:.4f}.",
                *_costs(study, lead),
            ],
        ],
        _choice(study, lead),
        READING,
    )


def _range(accuracy: Mapping[str, float], pairs: int) -> str:
    if len(accuracy) == 1:
        return "It is the only cell, so there is nothing to hold it against."
    gap = max(accuracy.values()) - min(accuracy.values())
    between = "" if same(gap, 0) else f": {_pairs(gap, pairs)} from end to end"
    return f"Over all {len(accuracy)} cells accuracy is {ends(accuracy)}{between}."


def _beside_leader(study: Comparison, pairs: int) -> list[str]:
    """Verdicts, and what the test would overlook."""
    if not study.verdicts:
        return []
    shown = partial(_pairs, pairs=pairs)
    told = judged(study.verdicts, "the leader", shown)
    wide, half = extreme({name: verdict.difference.half or 0.0 for name, verdict in study.verdicts.items()})
    if half:
        told.append(f"The widest 95% interval of a difference, that of {listed(wide)}, is ± {shown(half)}.")
    return told


def _sensors(study: Comparison, pairs: int) -> list[str]:
    """Whether two sensors pay; verdicts are beside the leader alone."""
    single = {cell: value for cell, value in of(study.cells).items() if fusion(cell) in SINGLE}
    both = {cell: value for cell, value in of(study.cells).items() if cell not in single}
    if not single or not both:
        missing = "net of a single sensor" if both else "fusion"
        return [f"No {missing} is among the cells, so nothing here says whether the second sensor pays."]
    (alone, high), (joint, top) = extreme(single), extreme(both)
    gap = "the same" if same(top, high) else f"{_pairs(top - high, pairs)} {'more' if top > high else 'less'}"
    told = [
        f"Is it worth having both sensors? The best single sensor on the test pairs has {high:.4f} ({listed(alone)}), "
        f"the best fusion {top:.4f} ({listed(joint)}), {gap}."
    ]
    if not tested(study.verdicts):
        return told
    if study.leader in single:
        won = [cell for cell in having(study.verdicts, "better") if cell in both]
        return [*told, f"The leader itself sees one sensor; shown to beat it: {listed(won) if won else 'no fusion'}."]
    even = [cell for cell in single if study.verdicts[cell].word != "worse"]
    if even:
        return [*told, f"The leading fusion is not shown to beat {listed(even)}: that both pay is not shown here."]
    return [*told, "The leading fusion is shown to beat every single sensor of the table: here the second one pays."]


def _cheapest(study: Comparison, key: str) -> tuple[list[str], float]:
    """Among the leader and what is not shown to be worse."""
    worse = having(study.verdicts, "worse")
    return extreme({name: value for name, value in of(study.cells, key).items() if name not in worse}, min)


def _costs(study: Comparison, lead: Figures) -> list[str]:
    (least, size), (quick, time) = _cheapest(study, "parameters"), _cheapest(study, "seconds_per_epoch")
    lost = lead["accuracy"] - min(study.cells[name]["accuracy"] for name in {*least, *quick})
    return [
        f"Among the leader and what is not shown to be worse, {size:,} parameters are the fewest ({listed(least)}; "
        f"{size / lead['parameters']:.2f} times the leader's), and {time:.2f} s of computing the shortest epoch "
        f"({listed(quick)}; {time / lead['seconds_per_epoch']:.2f} times).",
        f"Their accuracy is up to {small(lost)} below the leader's." if lost > 0 and not same(lost, 0) else "",
        f"Peak memory is {span(of(study.cells, 'peak_memory_mb').values(), '{:,.0f}')} MB.",
    ]


def _choice(study: Comparison, lead: Figures) -> list[str]:
    if not learnt(study.cells, lead["chance"]):
        return [LEARN]
    if not study.verdicts:
        return ["Add a cell to the matrix before choosing: one alone is neither the best nor the cheapest."]
    better, even = having(study.verdicts, "better"), having(study.verdicts, "not distinguishable")
    if better:
        first = f"For accuracy take {listed(better)}, shown to be better than the leader by validation loss."
    elif not tested(study.verdicts):
        first = f"For accuracy `{study.leader}` is a first guess: train more seeds before choosing by it."
    elif even:
        first = f"For accuracy `{study.leader}` leads, but any of the {len(even)} not distinguishable may do as well."
    else:
        first = f"For accuracy take `{study.leader}`: no other cell of the table is level with it."
    least, quick = (listed(_cheapest(study, key)[0]) for key in ("parameters", "seconds_per_epoch"))
    return [first, f"For the smallest net take {least}; for the shortest epoch {quick}."]


def ablation(study: Ablation) -> str:
    """What other downsamplings cost and give, fusion by fusion, and beside each other."""
    if not study.groups:
        return NO_ABLATION
    first = next(iter(study.groups.values()))[0]
    chance = study.cells[first]["chance"]
    variants: dict[str, dict[str, str]] = {}  # by downsampling
    for base, *others in study.groups.values():
        for name in others:
            variants.setdefault(_sampling(name), {})[name] = base
    return compose(
        [
            [f"The base, `{_sampling(first)}`, {WHAT[_sampling(first)]}.", at_chance(study.cells, chance)],
            *(_variant(study, name, twins) for name, twins in variants.items()),
            [_side_by_side(study, *two) for two in combinations(variants.values(), 2)],
        ],
        [_worth(study, name, twins) for name, twins in variants.items()] if learnt(study.cells, chance) else [LEARN],
        READING,
    )


def _sampling(cell: str) -> str:
    return cell.split("-")[1]


def _ratios(study: Ablation, twins: Twins, *keys: str) -> list[float]:
    """How many times the other's is the product of these figures."""

    def product(cell: str) -> float:
        return prod(study.cells[cell][key] for key in keys)

    return [product(name) / product(other) for name, other in twins.items()]


def _times(study: Ablation, twins: Twins, *keys: str) -> str:
    return f"{span(_ratios(study, twins, *keys), '{:.2f}')} times"


def _changes(study: Ablation, twins: Twins, key: str) -> str:
    return ends({name: study.cells[name][key] - study.cells[other][key] for name, other in twins.items()}, "{:+.4f}")


def _variant(study: Ablation, name: str, twins: Twins) -> list[str]:
    base = f"`{_sampling(next(iter(twins.values())))}`"
    return [
        f"`{name}` {WHAT[name]}. Beside {base}, in {listed(map(fusion, twins))}, it has "
        f"{_times(study, twins, 'parameters')} the parameters and takes {_times(study, twins, 'seconds_per_epoch')} "
        f"the computing of an epoch, {_times(study, twins, 'seconds_per_epoch', 'epochs')} that of a training with the "
        f"epochs each was given, and {_times(study, twins, 'peak_memory_mb')} the peak memory.",
        f"Test loss changes by {_changes(study, twins, 'loss')}, accuracy by {_changes(study, twins, 'accuracy')}.",
        *judged({cell: study.verdicts[cell] for cell in twins}, base),
    ]


def _side_by_side(study: Ablation, one: Twins, two: Twins) -> str:
    """Two variants in the fusions that have both."""
    names = [f"`{_sampling(next(iter(variant)))}`" for variant in (one, two)]
    other = {fusion(cell): cell for cell in two}
    twins = {cell: other[fusion(cell)] for cell in one if fusion(cell) in other}
    if not twins:
        return f"No fusion has both {names[0]} and {names[1]}."
    return (
        f"Side by side in {listed(map(fusion, twins))}, {names[0]} has {_times(study, twins, 'parameters')} the "
        f"parameters of {names[1]} and takes {_times(study, twins, 'seconds_per_epoch')} the computing of an epoch; "
        f"its accuracy differs by {_changes(study, twins, 'accuracy')}. Both were tested beside the base "
        "alone."
    )


def _worth(study: Ablation, name: str, twins: Twins) -> str:
    verdicts = {cell: study.verdicts[cell] for cell in twins}
    quicker = max(_ratios(study, twins, "seconds_per_epoch", "epochs")) < 1
    cost = f"`{name}` {'shortens' if quicker else 'does not shorten'} every training here"
    better, worse = having(verdicts, "better"), having(verdicts, "worse")
    if not tested(verdicts):
        return f"{cost}; train more seeds before judging what it does to accuracy."
    if worse or better:
        good = f"; take it for {listed(better)}, where it is shown to be better" if better else ""
        return cost + good + (f"; not for {listed(worse)}, where it is shown to be worse" if worse else "") + "."
    end = "take it where time counts" if quicker else "these figures give no reason to take it"
    return f"{cost} and is not shown to change accuracy: {end}."

"""The written analysis of fusions and downsamplings, from its evidence.

What no test has shown is called not distinguishable; of causes, only what a net does by construction is said.
"""

from collections.abc import Iterable, Mapping

from pipeline.results.evidence import Ablation, Comparison, Figures
from pipeline.results.prose import (
    ALONE,
    CHANCE,
    EQUAL,
    HOLM,
    INTERVAL,
    PAIRED,
    SHARED,
    above,
    compose,
    counted,
    extreme,
    joined,
    listed,
    span,
)
from pipeline.results.report import with_interval
from pipeline.results.statistics import Verdict

SINGLE = ("rgb", "lidar")  # fusions that see one sensor
SAME = "not distinguishable"  # the word of a verdict
READING = (EQUAL, PAIRED, HOLM, SHARED, INTERVAL, CHANCE)
WHAT = {
    "maxpool": "convolves every place and keeps the largest of neighbouring values",
    "strided": "puts the stride into the same convolution, which then computes fewer places and needs no pool",
    "strided_extra": "puts one more convolution, a stride-2 one, in the place of the pool",
}


def comparison(study: Comparison, pairs: int) -> str:
    """Which fusion is best, by how much and at what cost; `pairs` of the test split."""
    lead = study.cells[study.leader]
    best, top = extreme({name: cell["accuracy"] for name, cell in study.cells.items()})
    worst, low = extreme({name: cell["accuracy"] for name, cell in study.cells.items()}, min)
    gap = (top - low) * pairs
    opening = [
        f"`{study.leader}` leads by validation loss, {lead['val_loss']:.4f}. On the test pairs its accuracy is "
        f"{with_interval(lead, 'accuracy')}, where chance is {lead['chance']:.4f}.",
        f"The highest test accuracy, {top:.4f}, belongs to {listed(best)}, the lowest, {low:.4f}, to "
        f"{listed(worst)}: a "
        f"gap of {gap:.1f} of the {pairs:,} test pairs."
        if top > low
        else f"All cells of the table have the same test accuracy, {top:.4f}.",
        _at_chance(study.cells),
    ]
    return compose(
        [
            [ALONE if lead["accuracy_ci95"] is None else "", *opening],
            _judged(study.verdicts, f"`{study.leader}`"),
            _sensors(study),
            [_calibration(study.cells), _costs(study)],
        ],
        _choice(study),
        READING,
    )


def ablation(study: Ablation) -> str:
    """What other downsamplings cost and bring."""
    if not study.groups:
        return "No fusion of the matrix was trained with more than one downsampling, so there is nothing to compare.\n"
    first = next(iter(study.groups.values()))
    base = first[0].split("-")[1]
    kinds = list(dict.fromkeys(name.split("-")[1] for group in study.groups.values() for name in group[1:]))
    paragraphs = [[f"The base, {base}, {WHAT[base]}."]]
    paragraphs += [_downsampling(study, kind, base) for kind in kinds]
    paragraphs += [[_beside(study, kinds)], _judged(study.verdicts, f"the {base} net of the same fusion")]
    better = [name for name, verdict in study.verdicts.items() if verdict.word == "better"]
    advice = [
        f"Take {listed(better)}: shown to be better than {base}."
        if better
        else f"On this data no fusion asks to leave {base}"
        " for the sake of accuracy: no other downsampling is shown to be better.",
        _fastest(study, kinds, base),
    ]
    return compose(paragraphs, advice, READING)


def _at_chance(cells: Mapping[str, Figures]) -> str:
    lost = [name for name, cell in cells.items() if not above(cell, "accuracy", cell["chance"])]
    return f"Not shown to be above chance over the seeds: {listed(lost)}." if lost else ""


def _judged(verdicts: Mapping[str, Verdict], beside: str) -> list[str]:
    """What the tests say beside one cell."""
    if not verdicts:
        return ["There is no other cell to compare it with."]
    clear = {name: each for name, each in verdicts.items() if each.word != SAME}
    silent = [name for name in verdicts if name not in clear]
    sentences = [f"Beside {beside}, {told(name, each)}." for name, each in clear.items()]
    if not silent:
        return sentences
    gaps = [abs(verdicts[name].difference.mean) for name in silent]
    return [
        *sentences,
        f"Not distinguishable from {beside}: {listed(silent)}; the differences seen there, up to {max(gaps):.4f}, "
        "may be the luck of these seeds and scenes.",
    ]


def _sensors(study: Comparison) -> list[str]:
    """Whether two sensors beat one."""
    alone = {name: cell for name, cell in study.cells.items() if name.split("-")[0] in SINGLE}
    both = {name: cell for name, cell in study.cells.items() if name not in alone}
    if not alone or not both:
        return []
    seen = joined(f"`{name}` has {with_interval(cell, 'accuracy')}" for name, cell in alone.items())
    sentences = [f"One sensor alone: {seen}."]
    if study.leader in alone:
        return [*sentences, f"As `{study.leader}` leads, a second sensor brings nothing that these figures show."]
    worse = [name for name in alone if study.verdicts[name].word == "worse"]
    rest = [name for name in alone if name not in worse]
    if worse:
        sentences.append(f"The leading fusion is shown to be better than {listed(worse)}.")
    if rest:
        sentences.append(f"It is not shown to be better than {listed(rest)}: on clean data one sensor may do.")
    return sentences


def _calibration(cells: Mapping[str, Figures]) -> str:
    best, low = extreme({name: cell["ece"] for name, cell in cells.items()}, min)
    worst, high = extreme({name: cell["ece"] for name, cell in cells.items()})
    return (
        f"Confidence is closest to accuracy in {listed(best)} (ECE {low:.4f}) and farthest in {listed(worst)} "
        f"({high:.4f})."
        if high > low
        else f"ECE is {low:.4f} throughout."
    )


def _level(study: Comparison) -> dict[str, Figures]:
    """The leader and what is not shown to be worse."""
    return {name: cell for name, cell in study.cells.items() if name not in study.verdicts or _fair(study, name)}


def _fair(study: Comparison, name: str) -> bool:
    return study.verdicts[name].word != "worse"


def _costs(study: Comparison) -> str:
    lead = study.cells[study.leader]
    level = _level(study)
    small, size = extreme({name: cell["parameters"] for name, cell in level.items()}, min)
    quick, seconds = extreme({name: cell["seconds_per_epoch"] for name, cell in level.items()}, min)
    return (
        f"Of the cells not shown to be worse than the leader, {listed(small)} has the fewest parameters, "
        f"{size:,} against "
        f"{lead['parameters']:,}, and {listed(quick)} the shortest epoch, {seconds:.2f} s against "
        f"{lead['seconds_per_epoch']:.2f} s."
    )


def _choice(study: Comparison) -> list[str]:
    fusions = {name: cell for name, cell in _level(study).items() if name.split("-")[0] not in SINGLE}
    if not fusions:
        return ["Use the single sensor that leads; no fusion here is level with it."]
    small, _ = extreme({name: cell["parameters"] for name, cell in fusions.items()}, min)
    return [
        f"Where both sensors are to be used on clean data, {listed(small)} is the smallest choice not shown to "
        "be worse.",
        "Choose by what the nets will meet: the learning curve and the stress test below tell fusions apart "
        "where clean "
        "accuracy does not.",
    ]


def _downsampling(study: Ablation, kind: str, base: str) -> list[str]:
    """One downsampling beside the base, over all fusions that have both."""
    pairs = [
        (study.cells[group[0]], study.cells[name])
        for group in study.groups.values()
        for name in group[1:]
        if name.split("-")[1] == kind
    ]
    parts = {
        key: [other[key] / first[key] for first, other in pairs]
        for key in ("parameters", "seconds_per_epoch", "epochs")
    }
    moved = [other["accuracy"] - first["accuracy"] for first, other in pairs]
    lost = [other["loss"] - first["loss"] for first, other in pairs]
    return [
        f"{kind} {WHAT[kind]}; {counted(len(pairs), 'fusion')} tried it.",
        f"Parameters are {span(parts['parameters'], '{:.2f}')} times those of {base}, computing time of an epoch "
        f"{span(parts['seconds_per_epoch'], '{:.2f}')} times, epochs {span(parts['epochs'], '{:.2f}')} times.",
        f"Test accuracy changes by {span(moved, '{:+.4f}')}, test loss by {span(lost, '{:+.4f}')}.",
    ]


def _beside(study: Ablation, kinds: list[str]) -> str:
    """The kinds beside each other, where one fusion has several."""
    if len(kinds) < 2:
        return ""
    means = {kind: mean(_of_kind(study, kind).values()) for kind in kinds}
    best, top = extreme(means)
    worst, low = extreme(means, min)
    if top == low:
        return f"On the mean of their fusions, {joined(kinds)} change accuracy alike, by {top:+.4f}."
    return (
        f"On the mean of their fusions, {joined(best)} changes accuracy by {top:+.4f} and {joined(worst)} by "
        f"{low:+.4f}; "
        "which fusions they were tried on differs, so this is a description and not a test."
    )


def _of_kind(study: Ablation, kind: str) -> dict[str, float]:
    return {
        name: study.cells[name]["accuracy"] - study.cells[group[0]]["accuracy"]
        for group in study.groups.values()
        for name in group[1:]
        if name.split("-")[1] == kind
    }


def _fastest(study: Ablation, kinds: list[str], base: str) -> str:
    """Where an epoch is shorter and nothing is shown to be lost."""
    spent = {
        name: study.cells[name]["seconds_per_epoch"] / study.cells[group[0]]["seconds_per_epoch"]
        for group in study.groups.values()
        for name in group[1:]
        if study.verdicts[name].word != "worse"
    }
    quick = {name: share for name, share in spent.items() if share < 1}
    if not quick:
        return ""
    names, share = extreme(quick, min)
    return (
        f"Where time counts, {listed(names)} takes {share:.2f} times an epoch's time of {base} and is not "
        "shown to be worse."
    )


def mean(values: Iterable[float]) -> float:
    known = list(values)
    return sum(known) / len(known)


def told(name: str, verdict: Verdict) -> str:
    """The word of a test, with the difference and p."""
    return f"`{name}` is {verdict.word} by {abs(verdict.difference.mean):.4f} (p {verdict.p:.2g})"

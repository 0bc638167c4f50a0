"""The written analysis of the fusion study where it gets harder: few scenes to learn from, and faulty sensors.

What no test shows is called not distinguishable; of causes, only what a net does by construction is told.
"""

from collections.abc import Iterable, Mapping, Sequence

from pipeline.report.fusion.comparisons import Curve, Stress
from pipeline.report.significance import Verdict
from pipeline.results.prose import (
    LEARN,
    READING,
    SINGLE,
    UNTESTED,
    at_chance,
    blind_loss,
    compose,
    counted,
    ends,
    extreme,
    fusion,
    having,
    joined,
    judged,
    learnt,
    listed,
    of,
    same,
    small,
    tested,
)

ByScenes = Mapping[int, Mapping[str, Verdict]]  # scenes -> fusion -> verdict beside the reference


def curve(study: Curve) -> str:
    """Who needs the fewest scenes, and where fusions can be told apart."""
    fewest = min(study.points)
    point = study.points[fewest]
    told: dict[int, dict[str, Verdict]] = {}  # only scenes where the reference is
    for (scenes, name), verdict in sorted(study.verdicts.items(), key=lambda item: item[0][0]):
        told.setdefault(scenes, {})[name] = verdict
    return compose(
        [
            [
                f"With {counted(fewest, 'training scene')}, test accuracy is {ends(of(point))}; chance is "
                f"{study.chance:.4f}.",
                at_chance(point, study.chance),
                _single_first(of(point)),
            ],
            _halfway(study),
            _separation(study, told),
            [_trained_out(study)],
        ],
        _scarce(study, told),
        READING,
    )


def _single_first(accuracy: Mapping[str, float]) -> str:
    single = {name: value for name, value in accuracy.items() if name in SINGLE}
    both = {name: value for name, value in accuracy.items() if name not in SINGLE}
    if not single or not both:
        return f"Of {'fusions' if single else 'single sensors'} there is none to hold against that."
    (alone, high), (joint, top) = extreme(single), extreme(both)
    gap = high - top
    word = "level with" if same(gap, 0) else f"{small(gap)} {'above' if gap > 0 else 'below'}"
    return f"The best single sensor there ({listed(alone)}) is {word} the best fusion ({listed(joint)})."


def _halfway(study: Curve) -> list[str]:
    """The fewest scenes with which each fusion is half way from chance to perfect."""
    level = (1 + study.chance) / 2
    first: dict[int | None, list[str]] = {}
    for name in dict.fromkeys(name for point in study.points.values() for name in point):
        there = [n for n, point in study.points.items() if name in point and point[name]["accuracy"] >= level]
        first.setdefault(min(there, default=None), []).append(name)
    never = first.pop(None, [])
    told = "; ".join(f"{listed(first[scenes])} with {scenes:,}" for scenes in sorted(first))
    if not told:
        return [f"Nothing gets half way from chance to perfect, which is {level:.4f}."]
    return [
        f"Half way from chance to perfect is {level:.4f}. The fewest scenes tried that get there: {told}.",
        f"Never there: {listed(never)}." if never else "",
    ]


def _apart(verdicts: Mapping[str, Verdict]) -> list[str]:
    return having(verdicts, "better") + having(verdicts, "worse")


def _separation(study: Curve, told: ByScenes) -> list[str]:
    """Where a fusion is told from the reference, and from where on none is."""
    reference = f"`{study.reference}`"
    if not told:
        return [f"Nothing was trained beside the reference, {reference}, so there is no comparison."]
    if not tested(study.verdicts):
        return [UNTESTED]
    clear = [scenes for scenes, each in told.items() if _apart(each)]
    if not clear:
        low = min(verdict.p for verdict in study.verdicts.values())
        return [
            f"Beside the reference, {reference}, nothing is distinguishable at any number of scenes: "
            f"the smallest p, corrected for the comparisons of its point, "
            f"is {low:.2g}."
        ]
    shares = joined(f"{len(_apart(each)) or 'none'} of {len(each)} with {scenes:,}" for scenes, each in told.items())
    after = [scenes for scenes in told if scenes > clear[-1]]
    return [
        f"By the paired test, so many are told from the reference, {reference}: {shares}. With {clear[0]:,}:",
        *judged({name: told[clear[0]][name] for name in _apart(told[clear[0]])}, reference),
        f"From {counted(after[0], 'scene')} on, none is distinguishable from it."
        if after
        else f"So differences last to {counted(clear[-1], 'scene')}, the most compared.",
    ]


def _trained_out(study: Curve) -> str:
    reached = {
        f"`{name}` with {scenes:,}": figures["train_loss"]
        for scenes, point in study.points.items()
        for name, figures in point.items()
        if "train_loss" in figures
    }
    if not reached:
        return ""
    (who, worst), level = extreme(reached), blind_loss(study.chance)
    late = [loss for loss in reached.values() if loss > level / 2]
    return (
        f"Were they trained out? The highest mean training loss at the end is {worst:.4f} ({who[0]}), and blind "
        f"answers cost {level:.4f}; {len(late) or 'none'} of {counted(len(reached), 'training')} ended above half of "
        "that" + (", where low accuracy may be of training rather than of data." if late else ".")
    )


def _scarce(study: Curve, told: ByScenes) -> list[str]:
    if not any(learnt(point, study.chance) for point in study.points.values()):
        return [LEARN]
    fewest, most = min(study.points), max(study.points)
    best, _ = extreme(of(study.points[fewest]))
    if not tested(study.verdicts):
        return [f"{listed(best)} may lead with {fewest:,} by luck: train more seeds before choosing."]
    sure = [name for name in best if name in having(told.get(fewest, {}), "better")]
    if sure:
        few = f"take {listed(sure)}, shown to be better than `{study.reference}`"
    else:
        few = f"{listed(best)} had the highest accuracy, but no gain over `{study.reference}` is shown for that"
    if _apart(told.get(most, {})):
        many = "read the verdicts before the costs, for they still tell some apart"
    else:
        many = "choose by cost, for no test tells the nets apart by accuracy"
    return [f"With {counted(fewest, 'scene')}, {few}.", f"With {counted(most, 'scene')}, {many}."]


def stress(study: Stress) -> str:
    """Which faults hurt most, which cell holds best, and whom the nets believe."""
    clean = study.means["clean"]
    cells = [cell for cell in clean if fusion(cell) not in SINGLE] or list(clean)
    graded = [fault for fault, rows in study.accuracy.items() if next(iter(rows.values()))[0][0] is not None]
    kinds = {key: [fault for fault in graded if fault.startswith(f"{key}_")] for key in SINGLE}
    return compose(
        [
            [_clean(study, cells), *_hurt(study, cells, graded), at_chance(clean, study.chance)],
            [
                *(_holding(study, cells, key, faults) for key, faults in kinds.items() if faults),
                "Averages over faults were not tested; each fault was." if tested(study.verdicts) else UNTESTED,
            ],
            _gone(study, cells),
        ],
        _expecting(study, cells, kinds) if learnt(clean, study.chance) else [LEARN],
        READING,
    )


def _fault(names: Iterable[str]) -> str:
    return joined(name.replace("_", " ") for name in names)


def _mean(study: Stress, cells: Sequence[str], faults: Sequence[str]) -> float:
    values = [study.means[fault][cell]["accuracy"] for fault in faults for cell in cells]
    return sum(values) / len(values)


def _averages(study: Stress, cells: Iterable[str], faults: Sequence[str]) -> dict[str, float]:
    return {cell: _mean(study, [cell], faults) for cell in cells}


def _blind_to(study: Stress, key: str) -> list[str]:
    """Cells that see the other sensor alone."""
    return [cell for cell in study.means["clean"] if fusion(cell) in SINGLE and fusion(cell) != key]


def _clean(study: Stress, cells: Sequence[str]) -> str:
    what = "fusions" if fusion(cells[0]) not in SINGLE else "nets, none of which is a fusion,"
    return (
        f"On {study.pairs:,} clean test pairs the {what} have {_mean(study, cells, ['clean']):.4f} on average, where "
        f"chance is {study.chance:.4f}; the leader of the comparison is `{study.leader}`."
    )


def _hurt(study: Stress, cells: Sequence[str], graded: Sequence[str]) -> list[str]:
    if not graded:
        return []
    left = {fault: _mean(study, cells, [fault]) for fault in graded}
    single = {
        (cell, fault, severity): figures["accuracy"]
        for fault in graded
        for cell in cells
        for severity, figures in study.accuracy[fault][cell]
    }
    cell, fault, severity = min(single, key=single.get)
    return [
        f"With a fault, averaged over its severities, that becomes {ends(left, names=_fault)}.",
        f"The lowest single accuracy is {single[cell, fault, severity]:.4f}, that of `{cell}` under "
        f"{_fault([fault])} of {severity:g}.",
    ]


def _holding(study: Stress, cells: Sequence[str], key: str, faults: Sequence[str]) -> str:
    """Who holds best under faults of one sensor, beside who does not see it."""
    best, high = extreme(_averages(study, cells, faults))
    told = (
        f"Over {counted(len(faults), SINGLE[key] + ' fault')}, the best average is {high:.4f}, that of {listed(best)}"
    )
    told += _standing(study, best[0], faults)
    if deaf := [cell for cell in _blind_to(study, key) if cell not in cells]:
        others, value = extreme(_averages(study, deaf, faults))
        told += f"; without seeing {SINGLE[key]} at all, the best is {value:.4f}, that of {listed(others)}"
    return told + "."


def _standing(study: Stress, cell: str, faults: Sequence[str]) -> str:
    """Beside the leader, fault by fault."""
    verdicts = {fault: study.verdicts[fault, cell] for fault in faults if (fault, cell) in study.verdicts}
    if not tested(verdicts):
        return ""
    better, worse = having(verdicts, "better"), having(verdicts, "worse")
    if not better and not worse:
        return f" (not distinguishable from the leader under any of them: p at least {_least(verdicts):.2g})"
    told = [f"{word} under {_fault(names)}" for word, names in (("better", better), ("worse", worse)) if names]
    return f" (shown to be {joined(told)}, beside the leader: p {_least(verdicts):.2g} at least)"


def _least(verdicts: Mapping[str, Verdict]) -> float:
    return min(verdict.p for verdict in verdicts.values())


def _gone(study: Stress, cells: Sequence[str]) -> list[str]:
    """A sensor missing, or of another scene."""
    left = {fault: {cell: nets[cell] for cell in cells} for fault, nets in study.means.items()}
    told = [
        f"Without {name}, accuracy is {ends(of(left[fault]))}; {len(learnt(left[fault], study.chance)) or 'none'} of "
        f"{len(cells)} shown to be above chance."
        for fault, name in ((f"{key}_missing", name) for key, name in SINGLE.items())
        if fault in left
    ]
    if "other_scene" in left:
        told.append(f"With LiDAR of another scene but the same shape, it is {ends(of(left['other_scene']))}.")
    if "other_shape" in left:
        trust = of(left["other_shape"])
        lidar = [cell for cell, share in trust.items() if share < 1 - share]
        told += [
            f"With LiDAR of the other shape, the share of answers that follow RGB is {ends(trust)}.",
            f"More often LiDAR is believed by {listed(lidar)}."
            if lidar
            else "No net believes LiDAR more often than RGB.",
        ]
    return told


def _expecting(study: Stress, cells: Sequence[str], kinds: Mapping[str, Sequence[str]]) -> list[str]:
    advice = [_if_faulty(study, cells, key, faults) for key, faults in kinds.items() if faults]
    gone = [fault for fault in (f"{key}_missing" for key in SINGLE) if fault in study.means]
    if gone:
        worst = {cell: min(study.means[fault][cell]["accuracy"] for fault in gone) for cell in cells}
        best, high = extreme(worst)
        dead = [
            cell for cell in best if not all(learnt({cell: study.means[fault][cell]}, study.chance) for fault in gone)
        ]
        end = "and even that is not shown to be above chance: train for it" if dead else "try it on your own faults"
        advice.append(f"If either sensor may vanish, {listed(best)} keeps most, {high:.4f} at worst, {end}.")
    return advice


def _if_faulty(study: Stress, cells: Sequence[str], key: str, faults: Sequence[str]) -> str:
    best, high = extreme(_averages(study, cells, faults))
    deaf = _averages(study, [cell for cell in _blind_to(study, key) if cell not in cells], faults)
    start = f"If {SINGLE[key]} may be faulty, "
    if deaf and max(deaf.values()) > high and not same(max(deaf.values()), high):
        return f"{start}consider {listed(extreme(deaf)[0])}: its average is the highest, though that was not tested."
    if not tested(study.verdicts):
        return f"{start}start with {listed(best)}, and train more seeds before relying on it."
    return f"{start}start with {listed(best)}; read its verdicts before relying on the lead."

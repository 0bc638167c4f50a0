"""The written analysis of the learning curve and of the stress test, from its evidence.

What no test has shown is called not distinguishable; of causes, only what a net does by construction is said.
"""

from collections.abc import Mapping

from pipeline.results.evidence import Curve, Figures, Stress
from pipeline.results.fusion_prose import READING, SAME, SINGLE, mean, told
from pipeline.results.prose import above, compose, counted, extreme, joined, listed, span
from pipeline.results.report import with_interval


def curve(study: Curve) -> str:
    """Who needs fewest scenes, and from where on nothing can be told apart."""
    (few, fewest), (many, most) = list(study.points.items())[0], list(study.points.items())[-1]
    paragraphs = [_point(few, fewest, study), _single(few, fewest), _point(many, most, study) if many != few else []]
    apart = [scenes for scenes, _ in (key for key, each in study.verdicts.items() if each.word != SAME)]
    tests = [
        f"The reference of the tests is `{study.reference}`, of the lowest validation loss on all scenes.",
        f"Something can be told from it with {joined(f'{scenes:,}' for scenes in dict.fromkeys(apart))} scenes."
        if apart
        else "With no number of scenes can anything be told from it.",
        *(
            f"With {scenes:,} scenes {told(fusion, study.verdicts[scenes, fusion])}."
            for scenes, fusion in study.verdicts
            if study.verdicts[scenes, fusion].word != SAME
        ),
    ]
    best, _ = extreme(accuracy(fewest))
    advice = [
        f"With {few:,} scenes, try {listed(best)} first: the highest mean there"
        + (", though not told from the others by a test." if not any(key[0] == few for key in _told(study)) else "."),
        f"With {many:,} scenes, let other things than accuracy decide." if many != few and many not in apart else "",
        "Where more scenes can be had, have them: no fusion here gains as much by its kind as by more scenes."
        if _gain(study) > max(accuracy(fewest).values()) - min(accuracy(fewest).values())
        else "",
    ]
    return compose([*paragraphs, [_trained(study)], tests], advice, READING)


def stress(study: Stress) -> str:
    """Which fault hurts whom, and whom the nets believe."""
    clean = {name: rows[0][1]["accuracy"] for name, rows in study.accuracy["clean"].items()}
    graded = [fault for fault, cells in study.accuracy.items() if next(iter(cells.values()))[0][0] is not None]
    loss = {fault: mean(clean.values()) - mean(accuracy(study.means[fault]).values()) for fault in graded}
    worst, mild = extreme(loss), extreme(loss, min)
    paragraphs = [
        [
            f"Clean, the {counted(len(clean), 'cell')} have {span(clean.values(), '{:.3f}')} on these pairs.",
            f"Over the severities shown, {_fault(worst[0])} costs most, {worst[1]:.3f} of accuracy on the mean of all "
            f"cells, and {_fault(mild[0])} least, {mild[1]:.3f}.",
        ],
        [_holds(study, graded, "lidar"), _holds(study, graded, "rgb")],
        [_gone(study, "rgb_missing", "Without RGB"), _gone(study, "lidar_missing", "Without LiDAR")],
        _believed(study),
        _judged_faults(study),
    ]
    return compose(paragraphs, _wise(study, graded), READING)


def _point(scenes: int, cells: Mapping[str, Figures], study: Curve) -> list[str]:
    best, top = extreme(accuracy(cells))
    worst, low = extreme(accuracy(cells), min)
    lost = [name for name, cell in cells.items() if not above(cell, "accuracy", study.chance)]
    return [
        f"With {scenes:,} scenes the highest accuracy, {with_interval(cells[best[0]], 'accuracy', 3)}, is that of "
        f"{listed(best)}, the lowest, {with_interval(cells[worst[0]], 'accuracy', 3)}, that of {listed(worst)}; "
        "chance is "
        f"{study.chance:.3f}."
        if top > low
        else f"With {scenes:,} scenes all have an accuracy of {top:.3f}; chance is {study.chance:.3f}.",
        f"Not shown to be above chance over the seeds: {listed(lost)}." if lost else "",
    ]


def _single(scenes: int, cells: Mapping[str, Figures]) -> list[str]:
    """One sensor against both where scenes are few."""
    alone = {name: each for name, each in accuracy(cells).items() if name in SINGLE}
    both = {name: each for name, each in accuracy(cells).items() if name not in SINGLE}
    if not alone or not both:
        return []
    above_all = [name for name, each in both.items() if each > max(alone.values())]
    best, top = extreme(alone)
    return [
        f"Of the single sensors {listed(best)} is ahead with {top:.3f} on {scenes:,} scenes; "
        + (f"higher means than that have {listed(above_all)}." if above_all else "no fusion has a higher mean.")
    ]


def _trained(study: Curve) -> str:
    """Whether the nets on few scenes were trained out."""
    seen = [cell["train_loss"] for point in study.points.values() for cell in point.values() if "train_loss" in cell]
    return (
        f"At the end of their trainings the nets on few scenes have mean training losses of {span(seen, '{:.3f}')}: "
        "where that is near nothing, the scenes were learnt and what is missing is scenes, not training."
        if seen
        else ""
    )


def _told(study: Curve) -> list[tuple[int, str]]:
    return [key for key, verdict in study.verdicts.items() if verdict.word != SAME]


def _gain(study: Curve) -> float:
    """What the reference, or else the mean, gains from the fewest to all scenes."""
    first, last = (accuracy(list(study.points.values())[end]) for end in (0, -1))
    return mean(last.values()) - mean(first.values())


def _fault(names: list[str]) -> str:
    return joined(name.replace("_", " ") for name in names)


def _over(study: Stress, graded: list[str], sensor: str) -> dict[str, float]:
    """Cell -> mean accuracy over the faults of one sensor."""
    faults = [fault for fault in graded if fault.startswith(sensor)]
    return {cell: mean(study.means[fault][cell]["accuracy"] for fault in faults) for cell in study.accuracy["clean"]}


def _holds(study: Stress, graded: list[str], sensor: str) -> str:
    kept = _over(study, graded, sensor)
    best, top = extreme(kept)
    worst, low = extreme(kept, min)
    shown = "LiDAR" if sensor == "lidar" else "RGB"
    return (
        f"Under faults of {shown} the highest accuracy over all of them, {top:.3f}, is that of {listed(best)}, "
        "the lowest, "
        f"{low:.3f}, that of {listed(worst)}."
        if top > low
        else f"Under faults of {shown} all keep {top:.3f}."
    )


def _gone(study: Stress, fault: str, words: str) -> str:
    left = accuracy({name: rows[0][1] for name, rows in study.accuracy[fault].items()})
    blind = [name for name, each in left.items() if each <= study.chance + 0.1 * (1 - study.chance)]
    best, top = extreme(left)
    near = f"within a tenth of the way from chance ({study.chance:.3f}) stay {listed(blind)}"
    return (
        f"{words} the highest accuracy, {top:.3f}, is that of {listed(best)}; "
        f"{near if blind else 'none is near chance'}."
    )


def _believed(study: Stress) -> list[str]:
    """Whom the nets follow where the sensors disagree."""
    seen = accuracy({name: rows[0][1] for name, rows in study.accuracy["other_shape"].items()})
    both = {name: each for name, each in seen.items() if name.split("-")[0] not in SINGLE}
    lidar = [name for name, each in both.items() if each < study.chance]
    rgb = [name for name, each in both.items() if each > study.chance]
    return [
        "Shown LiDAR of the other shape, a net has to choose whom to believe.",
        f"LiDAR is believed more often by {listed(lidar)}." if lidar else "",
        f"RGB is believed more often by {listed(rgb)}." if rgb else "",
    ]


def _judged_faults(study: Stress) -> list[str]:
    """What can be told from the leader under which fault."""
    clear: dict[str, list[str]] = {}
    for (fault, cell), verdict in study.verdicts.items():
        if verdict.word != SAME:
            clear.setdefault(fault, []).append(f"`{cell}` is {verdict.word}")
    if not clear:
        return [f"No cell can be told from `{study.leader}` under any fault."]
    return [f"Beside `{study.leader}`, under {_fault([fault])} {joined(cells)}." for fault, cells in clear.items()]


def _wise(study: Stress, graded: list[str]) -> list[str]:
    """One choice an expected fault, among the nets that need both sensors or one."""
    lidar, rgb = (extreme(_over(study, graded, sensor))[0] for sensor in ("lidar", "rgb"))
    every = extreme(
        {cell: mean(study.means[fault][cell]["accuracy"] for fault in graded) for cell in study.accuracy["clean"]}
    )
    return [
        f"Expect LiDAR to fail: {listed(lidar)}. Expect RGB to fail: {listed(rgb)}.",
        f"Expect anything: {listed(every[0])}, with {every[1]:.3f} over all graded faults; these are means "
        "without a test.",
        "Before use, train with the faults that are to be expected: none of these nets has seen one.",
    ]


def accuracy(cells: Mapping[str, Figures]) -> dict[str, float]:
    return {name: figures["accuracy"] for name, figures in cells.items()}

"""The written analysis of the chain from LiDAR to RGB alone, from its metrics.

A sentence stands only where the numbers bear it. The criterion is rough, whether 95% intervals overlap, and it says so.
"""

from collections.abc import Mapping, Sequence

from pipeline.evaluation.assessment import BATCHES, LOSS_POINTS, MAX_LOSS, PASS
from pipeline.report.text import Metrics, with_interval
from pipeline.results.prose import (
    ALONE,
    CHANCE,
    INTERVAL,
    above,
    at_chance,
    blind_loss,
    compose,
    counted,
    ends,
    extreme,
    joined,
    learnt,
    same,
    small,
    span,
)

OVERLAP = (
    "Intervals that overlap do not prove two nets equal: they only mean that these seeds do not show them apart. The "
    "criterion is rough, for a paired test may find a difference between nets whose intervals overlap."
)
SEEDS = (
    "More seeds would narrow the intervals, and more test pairs would make the steps of accuracy finer; neither makes "
    "a net better by itself."
)
READING = (CHANCE, INTERVAL, OVERLAP, SEEDS)
TITLES = {
    "scratch": "the net from scratch",
    "probe": "the linear probe",
    "projector": "the tuned projector",
    "everything": "everything tuned",
}


def cilp(evaluated: Metrics, chance: float) -> str:
    """Retrieval, the course's loss, projector and RGB classifiers, the course's points; from evaluate's metrics."""
    trained, untrained = evaluated["trained"], evaluated["untrained"]
    found, before = trained["cilp"], untrained["cilp"]
    zero = _accuracy(trained["classify/projector"], "zero_shot_accuracy")
    tuned = {TITLES[name]: _accuracy(trained[f"classify/{name}"]) for name in ("projector", "everything")}
    alone = zero["accuracy_ci95"] is None
    return compose(
        [
            [ALONE if alone else "", *_retrieval(found, before)],
            _course_loss(found, before),
            [_projection(trained["project"]), *_named(zero, tuned, trained["lidar"]["accuracy"], chance)],
            _points(evaluated["assessment"]),
        ],
        _use(above(found, "top1", found["chance_top1"]), zero, tuned, chance),
        (CHANCE, SEEDS) if alone else READING,
    )


def _accuracy(figures: Metrics, name: str = "accuracy") -> Metrics:
    return {"accuracy": figures[name], "accuracy_ci95": figures.get(f"{name}_ci95")}


def _retrieval(figures: Metrics, before: Metrics) -> list[str]:
    level, gap = figures["chance_top1"], figures["top1_reverse"] - figures["top1"]
    turned = "the same" if same(gap, 0) else f"{small(gap)} {'higher' if gap > 0 else 'lower'}"
    return [
        f"Every test picture looks for its own LiDAR frame among all {round(1 / level):,}. That comes first for "
        f"{with_interval(figures, 'top1')} of the pictures (top-1) and among the first five for "
        f"{with_interval(figures, 'top5')} (top-5); guessing gives {level:.4f} and {figures['chance_top5']:.4f}, "
        f"untrained nets {before['top1']:.4f} and {before['top5']:.4f}.",
        f"So top-1 is {figures['top1'] / level:.0f} times chance."
        if above(figures, "top1", level)
        else "By top-1 they are not shown to be above chance: the embedders do not find each other's pairs.",
        f"The mean rank is {figures['mean_rank']:.1f}, by guessing {figures['chance_mean_rank']:.1f}.",
        f"The other way round, from LiDAR to RGB, top-1 is {turned}.",
    ]


def _course_loss(figures: Metrics, before: Metrics) -> list[str]:
    loss, level, floor = (figures[f"course_{name}"] for name in ("loss", "chance_loss", "floor_loss"))
    passed = before["course_loss"] < MAX_LOSS
    return [
        f"The course's loss is {with_interval(figures, 'course_loss')}. It takes the mean of one and the similarity as "
        f"logits, which leaves it a narrow band: {level:.4f} where nothing is known, and never under {floor:.4f}.",
        f"It has gone {(level - loss) / (level - floor):.2f} of that way, while top-1 stands at {figures['top1']:.4f}."
        if loss < level
        else "It is no lower than what knowing nothing costs.",
        f"Untrained nets have {before['course_loss']:.4f} and {'pass' if passed else 'do not pass'} the "
        "course's mark of "
        f"{MAX_LOSS}, so {'passing it says nothing of what was learnt' if passed else 'it does ask for learning'}.",
    ]


def _projection(figures: Metrics) -> str:
    told = f"The projector carries RGB embeddings into the LiDAR net's features. R2 is {with_interval(figures, 'r2')}: "
    if above(figures, "r2", 0.0):
        return told + "that share of the squared error of always predicting the mean is gone."
    return told + "not shown to be better than always predicting the mean."


def _named(zero: Metrics, tuned: Mapping[str, Metrics], lidar: float, chance: float) -> list[str]:
    return [
        "With the LiDAR net's head on top, RGB alone has an accuracy of "
        f"{with_interval(zero, 'accuracy')} zero-shot, {'' if above(zero, 'accuracy', chance) else 'not shown to be '}"
        f"above the chance of {chance:.4f}; the LiDAR net itself has {lidar:.4f}.",
        *(f"With {name} it is {with_interval(net, 'accuracy')}, {_beside(net, zero)}." for name, net in tuned.items()),
        "The criterion is whether 95% intervals overlap." if zero["accuracy_ci95"] is not None else "",
    ]


def _beside(figures: Metrics, zero: Metrics) -> str:
    gap = figures["accuracy"] - zero["accuracy"]
    if figures["accuracy_ci95"] is not None and not _apart(figures, zero):
        return "not distinguishable from zero-shot"
    return "as zero-shot" if same(gap, 0) else f"{small(gap)} {'above' if gap > 0 else 'below'} zero-shot"


def _apart(figures: Metrics, other: Metrics) -> bool:
    """Whether two intervals do not overlap; without intervals nothing is apart."""
    halves = figures["accuracy_ci95"], other["accuracy_ci95"]
    return None not in halves and abs(figures["accuracy"] - other["accuracy"]) > sum(halves)


def _points(assessment: Mapping[str, Metrics]) -> list[str]:
    told = [
        f"{name} {span(marks['points'], '{}')} ({marks['passed']} of {counted(len(marks['points']), 'seed')} passed)"
        for name, marks in assessment.items()
    ]
    ground = span(assessment["untrained"]["points"], "{}")
    return [
        f"Of the course's {LOSS_POINTS + BATCHES} points, of which {PASS} pass, the chains have: {joined(told)}.",
        f"Untrained nets show which part of that nothing learnt is worth: {ground}.",
    ]


def _use(found: bool, zero: Metrics, tuned: Mapping[str, Metrics], chance: float) -> list[str]:
    better = [name for name, each in tuned.items() if _apart(each, zero) and each["accuracy"] > zero["accuracy"]]
    if not found:
        first = "Get CILP to learn first: what stands on embeddings at chance cannot be judged."
    elif zero["accuracy_ci95"] is None:
        first = "Train more seeds before choosing a tuning: one training does not tell luck from gain."
    elif better:
        first = f"Where RGB labels are at hand, prefer {joined(better)}: shown to lie above zero-shot."
    elif above(zero, "accuracy", chance):
        first = "Start with zero-shot: it needs no more training, and no tuning is shown to beat it."
    else:
        first = "Look at the projector and the LiDAR net next: zero-shot is not shown to be above chance."
    return [first, "Judge CILP by its retrieval beside chance; read the course's loss and points only after it."]


def labels(metrics: Metrics, zero_shot: float) -> str:
    """From scratch against pretrained, by the number of labels; `zero_shot` is the chain's accuracy without any."""
    counts = sorted(metrics["scratch"], key=int)
    alone = metrics["scratch"][counts[0]].get("accuracy_ci95") is None
    behind = [count for count in counts if _lead(metrics, count) < 0]
    return compose(
        [
            [ALONE if alone else "", *_fewest(metrics, counts[0], zero_shot)],
            _catching_up(metrics, counts, behind, alone),
            [*_growth(metrics, counts), _trained_out(metrics)],
        ],
        _which(metrics, counts, behind, alone),
        (CHANCE, SEEDS) if alone else READING,
    )


def _nets(metrics: Metrics, count: str) -> dict[str, Metrics]:
    return {title: _accuracy(metrics[name][count]) for name, title in TITLES.items()}


def _at(metrics: Metrics, count: str) -> dict[str, float]:
    return {title: figures["accuracy"] for title, figures in _nets(metrics, count).items()}


def _rival(metrics: Metrics, count: str) -> str:
    """The most accurate of the pretrained."""
    pretrained = _at(metrics, count)
    del pretrained[TITLES["scratch"]]
    return max(pretrained, key=pretrained.get)


def _lead(metrics: Metrics, count: str) -> float:
    """Of scratch before the most accurate pretrained net; 0 where their intervals overlap or there are none."""
    nets = _nets(metrics, count)
    scratch, rival = nets[TITLES["scratch"]], nets[_rival(metrics, count)]
    return scratch["accuracy"] - rival["accuracy"] if _apart(scratch, rival) else 0.0


def _fewest(metrics: Metrics, count: str, zero_shot: float) -> list[str]:
    accuracy, scratch = _at(metrics, count), metrics["scratch"][count]
    rival = _rival(metrics, count)
    gap = accuracy[rival] - scratch["accuracy"]
    better = [title for title, value in accuracy.items() if value > zero_shot]
    return [
        f"With {counted(int(count), 'label')}, test accuracy is {ends(accuracy, names=joined)}; chance is "
        f"{metrics['chance']:.4f}.",
        f"The net from scratch has {with_interval(scratch, 'accuracy')}, {small(gap)} "
        f"{'less' if gap > 0 else 'more'} than {rival}, the most accurate of the pretrained."
        if not same(gap, 0)
        else f"The net from scratch is level with {rival}, the most accurate of the pretrained.",
        at_chance(_nets(metrics, count), metrics["chance"], joined),
        f"Zero-shot, without any label of RGB, the chain has {zero_shot:.4f}; higher than that with so few: "
        f"{joined(better) if better else 'none'}.",
        "What is tuned rests on a LiDAR net that saw all labels of the training split; the linear probe does not.",
    ]


def _catching_up(metrics: Metrics, counts: Sequence[str], behind: Sequence[str], alone: bool) -> list[str]:
    criterion = (
        "The net from scratch counts as behind where its 95% interval lies wholly below that of the most accurate "
        "pretrained net, and as level where the two overlap:"
    )
    ahead = [f"{int(count):,}" for count in counts if _lead(metrics, count) > 0]
    if alone:
        end = "without intervals that cannot be judged."
    elif not behind:
        end = "it is behind at none of the numbers of labels tried, so pretraining is not shown to pay."
    elif behind[-1] == counts[-1]:
        end = f"it is still behind with {counted(int(counts[-1]), 'label')}, the most there are."
    else:
        level = counts[counts.index(behind[-1]) + 1]
        end = f"it has caught up from {counted(int(level), 'label')} on, and is last behind with {int(behind[-1]):,}."
    return [criterion, end, f"It lies wholly above with {joined(ahead)}." if ahead else ""]


def _growth(metrics: Metrics, counts: Sequence[str]) -> list[str]:
    if len(counts) < 2:
        return []
    first, last = _at(metrics, counts[0]), _at(metrics, counts[-1])
    gains = {name: last[name] - first[name] for name in last}
    return [
        f"From {int(counts[0]):,} to {counted(int(counts[-1]), 'label')}, accuracy changes by "
        f"{ends(gains, '{:+.4f}', joined)}, and is then {ends(last, names=joined)}."
    ]


def _trained_out(metrics: Metrics) -> str:
    reached = {
        f"{title} with {counted(int(count), 'label')}": figures["train_loss"]
        for name, title in TITLES.items()
        for count, figures in metrics[name].items()
        if "train_loss" in figures
    }
    (who, worst), level = extreme(reached), blind_loss(metrics["chance"])
    late = [name for name, loss in reached.items() if loss > level / 2]
    return (
        f"Were they trained out? The highest mean training loss at the end is {worst:.4f} ({joined(who[:1])}), and "
        f"blind answers cost {level:.4f}; {len(late) or 'none'} of {counted(len(reached), 'training')} ended "
        "above half of that" + (", where gaps may be of training rather than of labels." if late else ".")
    )


def _which(metrics: Metrics, counts: Sequence[str], behind: Sequence[str], alone: bool) -> list[str]:
    if not learnt(_nets(metrics, counts[-1]), metrics["chance"]):
        return ["Get a net to learn first: with all labels none is shown to be above chance."]
    if alone:
        return ["Train more seeds before choosing: with one, a gap between nets may be luck."]
    return [
        f"With {counted(int(count), 'label')}, "
        + (
            f"start from {_rival(metrics, count)}, shown to lie above the net from scratch."
            if count in behind
            else "train from scratch: no pretrained net is shown to lie above it, and it needs no other net."
        )
        for count in dict.fromkeys((counts[0], counts[-1]))
    ]

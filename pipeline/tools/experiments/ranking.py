"""Trainings in the order of their validation loss: the test split has no part in the choice."""

from collections import Counter
from collections.abc import Sequence

from pipeline.core.errors import PipelineError
from pipeline.report.text import markdown, with_interval
from pipeline.tools.experiments.revisions import WORKSPACE, Training

IN_THE_NAME = ("fusion", "downsample")  # parameters that the name of a cell holds
MAX_PLACES = 2  # places listed for one training


def rank_trainings(trainings: Sequence[Training], arrays: str | None) -> list[Training]:
    """Return the trainings on `arrays` (None: on those of the first) that have a validation loss, the lowest first.

    Losses on other validation pairs do not compare. Raises PipelineError if no training is left.
    """
    comparable = [training for training in trainings if training.arrays == (arrays or trainings[0].arrays)]
    scored = [training for training in comparable if "val_loss" in training.metrics]
    if not scored:
        raise PipelineError(
            f"runs/fusion: found {len(trainings)} trainings, {len(trainings) - len(comparable)} of them on other data "
            "or another split, none of the others with a val_loss, expected one on the arrays of the workspace; "
            "run `dvc repro`"
        )
    return sorted(scored, key=lambda training: training.metrics["val_loss"])


def format_ranking(trainings: Sequence[Training], arrays: str | None, top: int) -> str:
    """Return the `top` trainings as a Markdown table, then sentences about the first."""
    order = rank_trainings(trainings, arrays)
    names = _varied_params(order)
    kinds = Counter(_precision(training) for training in order)
    rows = [_row(training, names) for training in order[:top]]
    if len(kinds) > 1:
        rows = [row | {"precision": _precision(training)} for row, training in zip(rows, order, strict=False)]
    lines = _describe_best(order, len(trainings) - len(order))
    if len(kinds) > 1:
        counts = ", ".join(f"{number} in {kind}" for kind, number in sorted(kinds.items()))
        lines.append(f"Unlike precision ({counts}): a difference between these may come from the rounding alone.")
    return markdown(rows) + "\n" + "\n".join(lines)


def _precision(training: Training) -> str:
    return training.metrics.get("precision", "unknown precision")


def _row(training: Training, names: Sequence[str]) -> dict[str, str]:
    params, metrics = _short_params(training), training.metrics
    row = {"experiment": _format_places(training), "cell": training.cell}
    row |= {name: str(params.get(name, "")) for name in names}
    row |= {"validation loss": _format_metric(training, "val_loss")}
    return row | {"test accuracy": _format_metric(training, "accuracy"), "chance": f"{metrics.get('chance', 0.5):.4g}"}


def _format_metric(training: Training, name: str) -> str:
    if name not in training.metrics:
        return ""
    return with_interval(training.metrics, name, 4 if name == "accuracy" else 6)


def _format_places(training: Training) -> str:
    more = len(training.places) - MAX_PLACES
    return ", ".join(training.places[:MAX_PLACES]) + (f" and {more} more" if more > 0 else "")


def _short_params(training: Training) -> dict[str, object]:
    """Return the parameters by the last part of their keys: epochs for matrix.late-maxpool.epochs."""
    return {name.rsplit(".", 1)[-1]: value for name, value in training.params.items()}


def _varied_params(order: Sequence[Training]) -> list[str]:
    """Return the names of the parameters in which two trainings of one cell differ."""
    values: dict[str, dict[str, set[str]]] = {}
    for training in order:
        for name, value in _short_params(training).items():
            values.setdefault(name, {}).setdefault(training.cell, set()).add(str(value))
    return [
        name
        for name, by_cell in values.items()
        if name not in IN_THE_NAME and any(len(each) > 1 for each in by_cell.values())
    ]


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}" + ("" if number == 1 else "s")


def _describe_best(order: Sequence[Training], excluded: int) -> list[str]:
    """Return sentences about the first of `order`; `excluded` trainings were not comparable."""
    best, others = order[0], order[1:]
    half_width = best.metrics.get("val_loss_ci95")
    places = {place for training in order for place in training.places}
    lines = [
        f"The lowest validation loss of {_count(len(order), 'training')} in {_count(len(places), 'place')} (workspace, "
        f"commits, experiments): {best.cell} of {_format_places(best)}.",
        f"validation loss {_format_metric(best, 'val_loss')}, test accuracy {_format_metric(best, 'accuracy')}; chance "
        f"{best.metrics.get('chance', 0.5):.4g}. The test split had no part in the choice.",
    ]
    if half_width is None:
        lines.append(
            "One seed: there is no interval, and the others may be as good. For more seeds: -S 'seeds=[0, 1, 2]'"
        )
    else:
        near = sum(each.metrics["val_loss"] <= best.metrics["val_loss"] + half_width for each in others)
        lines.append(f"{near} of the {len(others)} others lie within its 95% interval over seeds.")
    if excluded:
        lines.append(f"Left out: {_count(excluded, 'training')} on other data, on another split or without the figure.")
    names = [place for place in best.places if not place.startswith(("commit ", WORKSPACE))]
    if WORKSPACE not in best.places and names:
        lines.append(f"To continue from it: dvc exp apply {names[-1]}")
    return lines

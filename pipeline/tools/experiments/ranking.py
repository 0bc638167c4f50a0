"""The best training of all experiments, by validation loss: the test split has no part in the choice."""

from collections.abc import Sequence

from pipeline.core.errors import PipelineError
from pipeline.report.text import markdown, with_interval
from pipeline.tools.experiments.revisions import WORKSPACE, Training

IN_THE_NAME = ("fusion", "downsample")  # of the cell
PLACES = 2  # named of those that hold the same training


def ranked(found: Sequence[Training], arrays: str | None) -> list[Training]:
    """Those on `arrays` (None: those of the first) with a validation loss, the lowest first.

    Raises PipelineError if there is none: losses on other validation pairs do not compare.
    """
    here = [training for training in found if training.arrays == (arrays or found[0].arrays)]
    told = [training for training in here if "val_loss" in training.metrics]
    if not told:
        raise PipelineError(
            f"runs/fusion: found {len(found)} trainings, {len(found) - len(here)} of them on other data or another "
            "split, none of the others with a val_loss, expected one on the arrays of the workspace; run `dvc repro`"
        )
    return sorted(told, key=lambda training: training.metrics["val_loss"])


def best(found: Sequence[Training], arrays: str | None, top: int) -> str:
    """The `top` trainings as a table, then what may be said of the first."""
    order = ranked(found, arrays)
    told = _varied(order)
    rows = [_row(training, told) for training in order[:top]]
    return markdown(rows) + "\n" + "\n".join(_account(order, len(found)))


def _row(training: Training, told: Sequence[str]) -> dict[str, str]:
    params, metrics = _short(training), training.metrics
    row = {"experiment": _places(training), "cell": training.cell}
    row |= {name: str(params.get(name, "")) for name in told}
    row |= {"validation loss": _figure(training, "val_loss")}
    return row | {"test accuracy": _figure(training, "accuracy"), "chance": f"{metrics.get('chance', 0.5):.4g}"}


def _figure(training: Training, name: str) -> str:
    if name not in training.metrics:
        return ""
    return with_interval(training.metrics, name, 4 if name == "accuracy" else 6)


def _places(training: Training) -> str:
    more = len(training.places) - PLACES
    return ", ".join(training.places[:PLACES]) + (f" and {more} more" if more > 0 else "")


def _short(training: Training) -> dict[str, object]:
    """epochs for matrix.late-maxpool.epochs, branch for fusion.nets.late.branch."""
    return {name.rsplit(".", 1)[-1]: value for name, value in training.params.items()}


def _varied(order: Sequence[Training]) -> list[str]:
    """The parameters in which two trainings of one cell differ."""
    values: dict[str, dict[str, set[str]]] = {}
    for training in order:
        for name, value in _short(training).items():
            values.setdefault(name, {}).setdefault(training.cell, set()).add(str(value))
    return [
        name
        for name, by_cell in values.items()
        if name not in IN_THE_NAME and any(len(each) > 1 for each in by_cell.values())
    ]


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}" + ("" if number == 1 else "s")


def _account(order: Sequence[Training], found: int) -> list[str]:
    first, others = order[0], order[1:]
    half = first.metrics.get("val_loss_ci95")
    places = {place for training in order for place in training.places}
    lines = [
        f"The lowest validation loss of {_count(len(order), 'training')} in {_count(len(places), 'place')} (workspace, "
        f"commits, experiments): {first.cell} of {_places(first)}.",
        f"validation loss {_figure(first, 'val_loss')}, test accuracy {_figure(first, 'accuracy')}; chance "
        f"{first.metrics.get('chance', 0.5):.4g}. The test split had no part in the choice.",
    ]
    if half is None:
        lines.append("One seed: no interval, and no telling it from the others. More: -S 'seeds=[0, 1, 2]'")
    else:
        near = sum(each.metrics["val_loss"] <= first.metrics["val_loss"] + half for each in others)
        lines.append(f"{near} of the {len(others)} others lie within its 95% interval over seeds.")
    if found > len(order):
        lines.append(
            f"Left out: {_count(found - len(order), 'training')} on other data, on another split or without the figure."
        )
    names = [place for place in first.places if not place.startswith(("commit ", WORKSPACE))]
    if WORKSPACE not in first.places and names:
        lines.append(f"Take it up: dvc exp apply {names[-1]}")
    return lines

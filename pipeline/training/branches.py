"""Late fusion of frozen nets: each branch is trained alone and then held, and the head learns to read both."""

from collections.abc import Callable
from dataclasses import replace

from pipeline import device as machine
from pipeline.models.encoders import freeze
from pipeline.models.fusion import halves
from pipeline.schema import Recipe
from pipeline.training.loop import Fit, Fitted, Log, Row, Task, fit, timed


def fit_frozen(task: Task, recipe: Recipe, epochs: int, seed: int, log: Log) -> Fitted:
    """`fit` for a `late` net whose branches see labels only on their own; seconds are those of all three trainings."""
    before = [
        fit(replace(task, model=half), recipe, epochs, seed, _silent).history
        for half in machine.seeded(seed, lambda: halves(task.model))
    ]
    freeze(task.model.rgb)
    freeze(task.model.lidar)
    samples = len(task.batches.rows)

    def whole(row: Row) -> Row:
        """An epoch of the head, with what the same epoch of both branches took."""
        rows = [row, *(history[int(row["epoch"]) - 1] for history in before)]
        peak = max(each["peak_memory_mb"] for each in rows)
        return row | timed(sum(each["seconds"] for each in rows), samples, peak)

    fitted = fit(task, recipe, epochs, seed, lambda seed, row: log(seed, whole(row)))
    return Fitted([whole(row) for row in fitted.history], whole(fitted.best))


def _silent(seed: int, row: Row) -> None:
    """The history of a cell is that of its last training."""


def fit_of(fusion: str) -> Fit:
    """How the weights of a fusion are found."""
    return FITS.get(fusion, fit)


FITS: dict[str, Callable[..., Fitted]] = {"late_frozen": fit_frozen}

"""Late fusion of frozen nets: each branch is trained alone and then held, and the head learns to read both."""

from collections.abc import Callable
from dataclasses import replace

from pipeline import device as machine
from pipeline.models.encoders import freeze
from pipeline.models.fusion import halves
from pipeline.schema import Recipe
from pipeline.training.loop import Fit, Fitted, Log, Row, Task, fit


def fit_frozen(task: Task, recipe: Recipe, epochs: int, seed: int, log: Log) -> Fitted:
    """`fit` for a `late` net whose branches see labels only on their own; seconds are those of all three trainings."""
    seconds = 0.0
    for half in machine.seeded(seed, lambda: halves(task.model)):
        seconds += fit(replace(task, model=half), recipe, epochs, seed, _silent).seconds_per_epoch
    freeze(task.model.rgb)
    freeze(task.model.lidar)
    fitted = fit(task, recipe, epochs, seed, log)
    return replace(fitted, seconds_per_epoch=fitted.seconds_per_epoch + seconds)


def _silent(seed: int, row: Row) -> None:
    """The history of a cell is that of its last training."""


def fit_of(fusion: str) -> Fit:
    """How the weights of a fusion are found."""
    return FITS.get(fusion, fit)


FITS: dict[str, Callable[..., Fitted]] = {"late_frozen": fit_frozen}

"""Late fusion of frozen nets: each branch is trained alone and then held, and the head learns to read both."""

from collections.abc import Callable
from dataclasses import replace

from pipeline.config.types import Recipe
from pipeline.core.device import build_seeded
from pipeline.models.blocks import freeze
from pipeline.models.fusion import unimodal_nets
from pipeline.training.loop import EpochMetrics, FitResult, LogFn, Task, Trainer, fit, timing_metrics


def fit_frozen_late(task: Task, recipe: Recipe, epochs: int, seed: int, log: LogFn) -> FitResult:
    """`fit` for a `late` net whose branches see labels only on their own; seconds are those of all three trainings."""
    before = [
        fit(replace(task, model=half), recipe, epochs, seed, _silent).history
        for half in build_seeded(seed, lambda: unimodal_nets(task.model))
    ]
    freeze(task.model.rgb)
    freeze(task.model.lidar)
    samples = len(task.batches.rows)

    def whole(row: EpochMetrics) -> EpochMetrics:
        """An epoch of the head, with what the same epoch of both branches took."""
        rows = [row, *(history[int(row["epoch"]) - 1] for history in before)]
        peak = max(each["peak_memory_mb"] for each in rows)
        return row | timing_metrics(sum(each["seconds"] for each in rows), samples, peak)

    fitted = fit(task, recipe, epochs, seed, lambda seed, row: log(seed, whole(row)))
    return FitResult([whole(row) for row in fitted.history], whole(fitted.best))


def _silent(seed: int, row: EpochMetrics) -> None:
    """The history of a cell is that of its last training."""


def fit_of(fusion: str) -> Trainer:
    """How the weights of a fusion are found."""
    return FITS.get(fusion, fit)


FITS: dict[str, Callable[..., FitResult]] = {"late_frozen": fit_frozen_late}

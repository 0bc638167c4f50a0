"""Late fusion of frozen nets: each encoder is trained alone and then frozen, and the head learns to read both."""

from dataclasses import replace

from pipeline.config.types import Recipe
from pipeline.core.device import build_seeded
from pipeline.models.blocks import freeze
from pipeline.models.fusion import FusionNet, unimodal_nets
from pipeline.training.loop import EpochMetrics, FitResult, LogFn, Task, Trainer, fit, timing_metrics

UNIMODAL = ("rgb", "lidar")  # the nets that are trained before the head, in their order


def fit_frozen_late(task: Task, recipe: Recipe, epochs: int, seed: int, log: LogFn) -> FitResult:
    """Train each encoder of a `late` net alone, freeze both, then train the head.

    The history is that of the head; seconds and memory of an epoch are those of all three trainings.
    """
    model = task.model
    if not isinstance(model, FusionNet):
        raise TypeError(f"expected a FusionNet; found {type(model).__name__}")
    nets = build_seeded(seed, lambda: unimodal_nets(model))
    trainings = [
        replace(task, model=net, states=task.states.below(name)) for name, net in zip(UNIMODAL, nets, strict=True)
    ]
    unimodal = [fit(each, recipe, epochs, seed, _discard).history for each in trainings]
    freeze(model.rgb)
    freeze(model.lidar)
    samples = len(task.batches.rows)

    def add_unimodal(metrics: EpochMetrics) -> EpochMetrics:
        """Return an epoch of the head, with the seconds and the peak memory of both encoders' epoch."""
        epochs = [metrics, *(history[int(metrics["epoch"]) - 1] for history in unimodal)]
        peak = max(epoch["peak_memory_mb"] for epoch in epochs)
        return metrics | timing_metrics(sum(epoch["seconds"] for epoch in epochs), samples, peak)

    result = fit(task, recipe, epochs, seed, lambda seed, metrics: log(seed, add_unimodal(metrics)))
    return FitResult([add_unimodal(metrics) for metrics in result.history], add_unimodal(result.best))


def _discard(seed: int, metrics: EpochMetrics) -> None:
    """Drop an epoch: the history of a cell is that of its last training."""


TRAINERS: dict[str, Trainer] = {"late_frozen": fit_frozen_late}  # all other fusions are trained by `fit`

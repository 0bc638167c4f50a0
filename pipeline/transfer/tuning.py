"""The part of the zero-shot RGB classifier that is trained on labels: the projector alone, or all of it."""

from collections.abc import Callable
from dataclasses import dataclass

from torch import nn

from pipeline.data.arrays import Arrays, BatchFn, Examples
from pipeline.models.blocks import freeze
from pipeline.models.cilp import CrossModalClassifier
from pipeline.transfer.scores import rgb_embeddings


@dataclass(frozen=True)
class FineTune:
    """An RGB classifier, the part of it that is trained, and how rows become inputs and targets of that part."""

    model: nn.Module
    part: nn.Module  # shares its weights with `model`
    batch_fn: BatchFn


def _projector_only(model: CrossModalClassifier, data: Arrays) -> FineTune:
    """Freeze embedder and head; every picture is embedded once, since its embedding stays."""
    freeze(model.embedder)
    freeze(model.tail.classifier)
    return FineTune(model, model.tail, Examples(rgb_embeddings(model.embedder, data), data.label).rows)


def _full(model: CrossModalClassifier, data: Arrays) -> FineTune:
    return FineTune(model, model, data.with_label)


TUNINGS: dict[str, Callable[[CrossModalClassifier, Arrays], FineTune]] = {
    "projector_only": _projector_only,
    "full": _full,
}

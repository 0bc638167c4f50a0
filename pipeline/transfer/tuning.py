"""The part of the zero-shot RGB classifier that is trained on labels: the projector alone, or all of it."""

from collections.abc import Callable
from dataclasses import dataclass

from torch import nn

from pipeline.data.arrays import Arrays, Batches, BatchFn, Examples
from pipeline.metrics.inference import collect_outputs
from pipeline.models.blocks import freeze
from pipeline.models.cilp import CrossModalClassifier


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
    pictures = Batches(data.with_label, data.all_rows)
    embedding = collect_outputs(lambda batch: model.embedder(batch.inputs), pictures).to(data.label.device)
    return FineTune(model, model.tail, Examples(embedding, data.label).rows)


def _full(model: CrossModalClassifier, data: Arrays) -> FineTune:
    return FineTune(model, model, data.with_label)


TUNINGS: dict[str, Callable[[CrossModalClassifier, Arrays], FineTune]] = {
    "projector_only": _projector_only,
    "full": _full,
}

"""TODO."""

from collections.abc import Callable

from torch import nn

from pipeline.data.arrays import Arrays, Batches, BatchFn, Examples
from pipeline.metrics.inference import collect_outputs
from pipeline.models.blocks import freeze
from pipeline.models.cilp import CrossModalClassifier

FineTune = tuple[nn.Module, BatchFn]  # what learns, and how rows become its inputs and labels


def _projector_alone(net: CrossModalClassifier, data: Arrays) -> FineTune:
    """Embedder and head are frozen, so that every picture is embedded once."""
    freeze(net.embedder)
    freeze(net.tail.classifier)
    pictures = Batches(data.with_label, data.all_rows)
    embedding = collect_outputs(lambda batch: net.embedder(batch.inputs), pictures).to(data.label.device)
    return net.tail, Examples(embedding, data.label).rows


def _everything(net: CrossModalClassifier, data: Arrays) -> FineTune:
    return net, data.with_label


TUNINGS: dict[str, Callable[[CrossModalClassifier, Arrays], FineTune]] = {
    "projector": _projector_alone,
    "everything": _everything,
}

"""The chain from LiDAR classifier to RGB classifier: put together from checkpoints or untrained, tuned, and scored.

The stages and `evaluate` share these, so every figure has one definition.
"""

from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor, nn

from pipeline import device as machine
from pipeline.artifacts import RUNS, checkpoint_path
from pipeline.data.arrays import Arrays, Batches, Features, Take
from pipeline.models.cilp import CILP, FromEmbedding, LidarClassifier, RgbToLidar, build_projector
from pipeline.models.encoders import freeze
from pipeline.results.assessment import BATCH
from pipeline.results.checkpoints import restore
from pipeline.results.metrics import Metrics, contrastive, geometry, prefixed, projection, retrieval
from pipeline.results.predict import embeddings, outputs

COURSE_SCALE = 0.5  # the course takes (s + 1) / 2 of the similarities for logits; a constant does not matter to softmax


class Chain(NamedTuple):
    """The nets of one seed."""

    lidar: LidarClassifier
    cilp: CILP
    project: nn.Module

    def classifier(self) -> RgbToLidar:
        """Zero-shot: CILP's RGB embedder, the projector, the LiDAR net's head, as each was trained."""
        return RgbToLidar(self.cilp.rgb, FromEmbedding(self.project, self.lidar.classifier))


def trained(part: str, seed: int, device: torch.device) -> nn.Module:
    """One part as its stage left it; raises PipelineError if the checkpoint is absent or another net's."""
    return restore(checkpoint_path(RUNS / part, seed), part, device)


def trained_chain(seed: int, device: torch.device) -> Chain:
    """All parts as their stages left them."""
    return Chain(*(trained(part, seed, device) for part in Chain._fields))


def untrained_chain(nets: dict[str, dict], seed: int, device: torch.device) -> Chain:
    """The same nets, as their checkpoints describe them in `nets`, with first weights drawn from `seed`."""

    def build() -> Chain:
        return Chain(LidarClassifier(**nets["lidar"]), CILP(**nets["cilp"]), build_projector(**nets["project"]))

    parts = machine.seeded(seed, build)
    return Chain(*(part.to(device, memory_format=torch.channels_last).eval() for part in parts))


def features(lidar: LidarClassifier, cilp: CILP, batches: Batches) -> Features:
    """Where the projector starts and what it aims at: RGB embeddings (N, D) and LiDAR features (N, F)."""
    device = batches.groups.device
    rgb = outputs(lambda batch: cilp.rgb(batch.rgb), batches)
    return Features(rgb.to(device), outputs(lambda batch: lidar.features(batch.lidar), batches).to(device))


def score_cilp(model: CILP, batches: Batches, size: int) -> Metrics:
    """All figures of the embedders; the loss is that of batches of `size`, in the order of `batches`.

    `course_loss` is the loss of the course, in its batches and its order: all cubes, then all spheres.
    """
    rgb, lidar = embeddings(model, batches)
    scale, order = float(model.scale.detach()), batches.rows.argsort().cpu()
    own = contrastive(rgb, lidar, scale, size) | {"temperature": 1 / scale}
    course = prefixed("course", contrastive(rgb[order], lidar[order], COURSE_SCALE, BATCH))
    return own | course | retrieval(rgb, lidar) | geometry(rgb, lidar)


def score_projector(model: nn.Module, batches: Batches, mean: Tensor) -> Metrics:
    """Of batches of `features`; `mean` (F,) is that of the training targets."""
    projected = outputs(lambda batch: model(batch.inputs), batches)
    return projection(projected, outputs(lambda batch: batch.target, batches), mean)


Part = tuple[nn.Module, Take]  # what learns, and how rows become its inputs and labels


def _projector_alone(net: RgbToLidar, data: Arrays) -> Part:
    """Embedder and head are frozen, so that every picture is embedded once."""
    freeze(net.embedder)
    freeze(net.tail.classifier)
    pictures = Batches(data.with_label, data.all_rows)
    embedding = outputs(lambda batch: net.embedder(batch.inputs), pictures).to(data.label.device)
    return net.tail, Features(embedding, data.label).rows


def _everything(net: RgbToLidar, data: Arrays) -> Part:
    return net, data.with_label


TUNINGS: dict[str, Callable[[RgbToLidar, Arrays], Part]] = {
    "projector": _projector_alone,
    "everything": _everything,
}

"""The chain from LiDAR classifier to RGB classifier: put together from checkpoints or untrained, tuned, and scored.

The stages and `evaluate` share these, so every figure has one definition.
"""

from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor, nn

from pipeline.core.checkpoints import restore
from pipeline.core.device import build_seeded
from pipeline.core.runs import RUNS, checkpoint_path
from pipeline.data.arrays import Batches, Examples
from pipeline.evaluation.assessment import BATCH
from pipeline.metrics.classification import Metrics, add_prefix
from pipeline.metrics.inference import collect_outputs, pair_embeddings
from pipeline.models.cilp import CILP, CrossModalClassifier, LidarClassifier, ProjectedClassifier, build_projector
from pipeline.transfer.metrics import alignment_uniformity, contrastive_metrics, projection_metrics, retrieval_metrics

COURSE_SCALE = 0.5  # the course takes (s + 1) / 2 of the similarities for logits; a constant does not matter to softmax


class Chain(NamedTuple):
    """The nets of one seed."""

    lidar: LidarClassifier
    cilp: CILP
    project: nn.Module

    def classifier(self) -> CrossModalClassifier:
        """Zero-shot: CILP's RGB embedder, the projector, the LiDAR net's head, as each was trained."""
        return CrossModalClassifier(self.cilp.rgb, ProjectedClassifier(self.project, self.lidar.classifier))


PARTS: dict[str, Callable[..., nn.Module]] = {"lidar": LidarClassifier, "cilp": CILP, "project": build_projector}


def build_classifier(lidar: dict, cilp: dict, project: dict) -> CrossModalClassifier:
    """Build an RGB classifier from the arguments of the nets that it consists of, as its checkpoint describes them."""
    return Chain(LidarClassifier(**lidar), CILP(**cilp), build_projector(**project)).classifier()


def load_part(part: str, seed: int, device: torch.device) -> nn.Module:
    """One part as its stage left it; raises PipelineError if the checkpoint is absent or another net's."""
    return restore(checkpoint_path(RUNS / part, seed), part, PARTS[part], device)


def load_chain(seed: int, device: torch.device) -> Chain:
    """All parts as their stages left them."""
    return Chain(*(load_part(part, seed, device) for part in Chain._fields))


def build_untrained_chain(nets: dict[str, dict], seed: int, device: torch.device) -> Chain:
    """The same nets, as their checkpoints describe them in `nets`, with first weights drawn from `seed`."""

    def build() -> Chain:
        return Chain(LidarClassifier(**nets["lidar"]), CILP(**nets["cilp"]), build_projector(**nets["project"]))

    parts = build_seeded(seed, build)
    return Chain(*(part.to(device, memory_format=torch.channels_last).eval() for part in parts))


def projector_examples(lidar: LidarClassifier, cilp: CILP, batches: Batches) -> Examples:
    """Where the projector starts and what it aims at: RGB embeddings (N, D) and LiDAR features (N, F)."""
    device = batches.groups.device
    rgb = collect_outputs(lambda batch: cilp.rgb(batch.rgb), batches)
    return Examples(rgb.to(device), collect_outputs(lambda batch: lidar.features(batch.lidar), batches).to(device))


def cilp_metrics(model: CILP, batches: Batches, size: int) -> Metrics:
    """All figures of the embedders; the loss is that of batches of `size`, in the order of `batches`.

    `course_loss` is the loss of the course, in its batches and its order: all cubes, then all spheres.
    """
    rgb, lidar = pair_embeddings(model, batches)
    scale, order = float(model.logit_scale.detach()), batches.rows.argsort().cpu()
    own = contrastive_metrics(rgb, lidar, scale, size) | {"temperature": 1 / scale}
    course = add_prefix("course", contrastive_metrics(rgb[order], lidar[order], COURSE_SCALE, BATCH))
    return own | course | retrieval_metrics(rgb, lidar) | alignment_uniformity(rgb, lidar)


def projector_metrics(model: nn.Module, batches: Batches, mean: Tensor) -> Metrics:
    """Of batches of `features`; `mean` (F,) is that of the training targets."""
    projected = collect_outputs(lambda batch: model(batch.inputs), batches)
    return projection_metrics(projected, collect_outputs(lambda batch: batch.target, batches), mean)

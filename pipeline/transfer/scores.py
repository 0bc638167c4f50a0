"""Metrics of the chain's own nets on a split, defined once for their stages and for `evaluate`."""

from math import inf

from torch import Tensor, nn

from pipeline.data.arrays import Batches
from pipeline.metrics.classification import Metrics, add_prefix
from pipeline.metrics.inference import collect_outputs, pair_embeddings
from pipeline.models.cilp import CILP, LidarClassifier
from pipeline.transfer.metrics import alignment_uniformity, contrastive_metrics, projection_metrics, retrieval_metrics

COURSE_SCALE = 0.5  # the course takes (s + 1) / 2 of the similarities for logits; a constant does not matter to softmax
COURSE_BATCH_SIZE = 32


def rgb_embeddings(model: CILP, batches: Batches) -> Tensor:
    """Return the inputs of the projector (N, D), on the device of the batches."""
    return collect_outputs(lambda batch: model.rgb(batch.rgb), batches).to(batches.groups.device)


def lidar_features(model: LidarClassifier, batches: Batches) -> Tensor:
    """Return the targets of the projector (N, F), on the device of the batches."""
    return collect_outputs(lambda batch: model.features(batch.lidar), batches).to(batches.groups.device)


def cilp_metrics(model: CILP, batches: Batches, batch_size: int) -> Metrics:
    """Return all metrics of the embedders; `loss` is that of batches of `batch_size`, in the order of `batches`.

    `course_loss` is the loss of the course, in its batches and its order: all cubes, then all spheres.
    """
    rgb, lidar = pair_embeddings(model, batches)
    scale, order = float(model.logit_scale.detach()), batches.rows.argsort().cpu()
    own = contrastive_metrics(rgb, lidar, scale, batch_size) | {"temperature": 1 / scale if scale else inf}
    course = add_prefix("course", contrastive_metrics(rgb[order], lidar[order], COURSE_SCALE, COURSE_BATCH_SIZE))
    return own | course | retrieval_metrics(rgb, lidar) | alignment_uniformity(rgb, lidar)


def projector_metrics(model: nn.Module, batches: Batches, train_mean: Tensor) -> Metrics:
    """Return the metrics of a projector on batches of RGB embeddings and LiDAR features.

    `train_mean` (F,) is the mean of the training targets: the baseline of R2.
    """
    projected = collect_outputs(lambda batch: model(batch.inputs), batches)
    return projection_metrics(projected, collect_outputs(lambda batch: batch.targets, batches), train_mean)

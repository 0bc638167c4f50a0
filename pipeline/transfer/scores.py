"""Metrics of the chain's own nets on a split, defined once for their stages and for `evaluate`."""

from math import inf

from torch import Tensor, nn

from pipeline.core.runs import RUNS
from pipeline.data.arrays import Arrays, Batches
from pipeline.metrics.classification import Metrics, add_prefix
from pipeline.metrics.inference import collect_outputs, pair_embeddings, store_outputs
from pipeline.models.cilp import CILP, LidarClassifier
from pipeline.transfer.metrics import (
    CHUNK_PAIRS,
    alignment_uniformity,
    contrastive_metrics,
    projection_metrics,
    retrieval_metrics,
)

COURSE_SCALE = 0.5  # the course takes (s + 1) / 2 of the similarities for logits; a constant does not matter to softmax
COURSE_BATCH_SIZE = 32


def rgb_embeddings(embedder: nn.Module, data: Arrays) -> Tensor:
    """Return the inputs of the projector for all pairs (N, D), on the device of the data; a CPU maps them from disk."""
    pictures = Batches(data.with_label, data.all_rows)
    return store_outputs(lambda batch: embedder(batch.inputs), pictures, RUNS).to(data.label.device)


def lidar_features(model: LidarClassifier, data: Arrays) -> Tensor:
    """Return the targets of the projector for all pairs (N, F), on the device of the data; a CPU maps them from disk.

    They take 13 KB a pair at the default widths.
    """
    pairs = Batches(data.with_depth, data.all_rows)
    return store_outputs(lambda batch: model.features(batch.lidar), pairs, RUNS).to(data.label.device)


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

    def both(rows: Tensor) -> tuple[Tensor, Tensor]:
        chunk = Batches(batches.batch_fn, rows)
        projected = collect_outputs(lambda batch: model(batch.inputs), chunk)
        return projected, collect_outputs(lambda batch: batch.targets, chunk)

    return projection_metrics(map(both, batches.rows.split(CHUNK_PAIRS)), train_mean)

"""Every metric of the test split from the nets themselves, as `evaluate` computes them."""

import torch
from torch import Tensor

from pipeline.data.arrays import Arrays, Batches, Examples
from pipeline.evaluation.assessment import Assessment, assess
from pipeline.metrics.classification import Metrics, add_prefix, classification_metrics
from pipeline.metrics.inference import input_logits, lidar_logits
from pipeline.models.cilp import CrossModalClassifier, LidarClassifier
from pipeline.transfer.chain import Chain
from pipeline.transfer.metrics import mean_by_chunk
from pipeline.transfer.scores import cilp_metrics, projector_metrics, rgb_embeddings


def rgb_logits(model: CrossModalClassifier, data: Arrays) -> Tensor:
    """Return the logits of an RGB classifier for the test split: (N,), in the order of the arrays."""
    return input_logits(model, Batches(data.with_label, data.splits["test"]))


def score_logits(logits: Tensor, data: Arrays) -> Metrics:
    """Return the metrics of logits (N,) for the test split."""
    return classification_metrics(logits, data.label[data.splits["test"]])


def score_lidar(model: LidarClassifier, data: Arrays) -> Metrics:
    """Return the test metrics of a LiDAR classifier."""
    return score_logits(lidar_logits(model, Batches(data.with_depth, data.splits["test"])), data)


def score_chain(chain: Chain, targets: Tensor, data: Arrays, batch_size: int) -> tuple[dict[str, Metrics], Assessment]:
    """Return the test metrics of CILP, projector and zero-shot classifier, by stage, and the course's marks.

    `targets` (N, F) are the LiDAR features of all pairs; `batch_size` is that of the contrastive loss.
    """
    examples = Examples(rgb_embeddings(chain.cilp.rgb, data), targets)
    train_mean = mean_by_chunk(targets, data.splits["train"])
    logits = rgb_logits(chain.classifier(), data)
    cilp = cilp_metrics(chain.cilp, Batches(data.with_depth, data.scene_pairs("test")), batch_size)
    metrics = {
        "cilp": cilp,
        "project": projector_metrics(chain.project, Batches(examples.rows, data.splits["test"]), train_mean),
        "classify": add_prefix("zero_shot", score_logits(logits, data)),
    }
    return metrics, score_course(cilp["course_loss"], logits, data)


def score_course(loss: float, logits: Tensor, data: Arrays) -> Assessment:
    """Assess a contrastive loss and logits (N,) for the test split by the course's marks, on cubes and spheres in turn.

    The order of the logits is that of the arrays.
    """
    in_turn = data.scene_pairs("test").flatten()
    places = torch.searchsorted(data.splits["test"], in_turn).cpu()
    return assess(loss, logits[places], data.label[in_turn])

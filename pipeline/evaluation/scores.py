"""Every figure of the test split from the nets themselves, as `evaluate` asks for them."""

from torch import Tensor, nn

from pipeline.data.arrays import Arrays, Batches
from pipeline.evaluation.assessment import Assessment, assess
from pipeline.metrics.classification import Metrics, add_prefix, classification_metrics
from pipeline.metrics.inference import input_logits, lidar_logits, pair_logits
from pipeline.models.cilp import CrossModalClassifier, LidarClassifier
from pipeline.transfer.chain import Chain, cilp_metrics, projector_examples, projector_metrics


def score_cell(net: nn.Module, data: Arrays) -> Metrics:
    """A fusion net."""
    return _classified(pair_logits(net, Batches(data.with_xyza, data.splits["test"])), data)


def score_lidar(net: LidarClassifier, data: Arrays) -> Metrics:
    """The LiDAR classifier."""
    return _classified(lidar_logits(net, Batches(data.with_depth, data.splits["test"])), data)


def score_classifier(net: CrossModalClassifier, data: Arrays) -> Metrics:
    """An RGB classifier."""
    return _classified(input_logits(net, Batches(data.with_label, data.splits["test"])), data)


def score_chain(nets: Chain, data: Arrays, batch: int) -> dict[str, Metrics]:
    """Every part of a chain, by the name of its stage; `batch` is that of the contrastive loss."""
    known = projector_examples(nets.lidar, nets.cilp, Batches(data.with_depth, data.all_rows))
    mean = known.target[data.splits["train"]].mean(dim=0).cpu()
    return {
        "lidar": score_lidar(nets.lidar, data),
        "cilp": cilp_metrics(nets.cilp, Batches(data.with_depth, data.scene_pairs("test")), batch),
        "project": projector_metrics(nets.project, Batches(known.rows, data.splits["test"]), mean),
        "classify": add_prefix("zero_shot", score_classifier(nets.classifier(), data)),
    }


def score_course(loss: float, net: CrossModalClassifier, data: Arrays) -> Assessment:
    """The course's marks for a chain with that loss and its classifier, on cubes and spheres in turn."""
    scene_pairs = Batches(data.with_label, data.scene_pairs("test"))
    return assess(loss, input_logits(net, scene_pairs), data.label[scene_pairs.rows])


def _classified(logits: Tensor, data: Arrays) -> Metrics:
    return classification_metrics(logits, data.label[data.splits["test"]])

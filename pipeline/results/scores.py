"""Every figure of the test split from the nets themselves, as `evaluate` asks for them."""

from torch import Tensor, nn

from pipeline.data.arrays import Arrays, Batches
from pipeline.models.cilp import LidarClassifier, RgbToLidar
from pipeline.results.assessment import Assessment, assess
from pipeline.results.chain import Chain, features, score_cilp, score_projector
from pipeline.results.metrics import Metrics, classification, prefixed
from pipeline.results.predict import input_logits, lidar_logits, pair_logits


def of_cell(net: nn.Module, data: Arrays) -> Metrics:
    """A fusion net."""
    return _classified(pair_logits(net, Batches(data.with_xyza, data.splits["test"])), data)


def of_lidar(net: LidarClassifier, data: Arrays) -> Metrics:
    """The LiDAR classifier."""
    return _classified(lidar_logits(net, Batches(data.with_depth, data.splits["test"])), data)


def of_classifier(net: RgbToLidar, data: Arrays) -> Metrics:
    """An RGB classifier."""
    return _classified(input_logits(net, Batches(data.with_label, data.splits["test"])), data)


def of_chain(nets: Chain, data: Arrays, batch: int) -> dict[str, Metrics]:
    """Every part of a chain, by the name of its stage; `batch` is that of the contrastive loss."""
    known = features(nets.lidar, nets.cilp, Batches(data.with_depth, data.all_rows))
    mean = known.target[data.splits["train"]].mean(dim=0).cpu()
    return {
        "lidar": of_lidar(nets.lidar, data),
        "cilp": score_cilp(nets.cilp, Batches(data.with_depth, data.twins("test")), batch),
        "project": score_projector(nets.project, Batches(known.rows, data.splits["test"]), mean),
        "classify": prefixed("zero_shot", of_classifier(nets.classifier(), data)),
    }


def of_course(loss: float, net: RgbToLidar, data: Arrays) -> Assessment:
    """The course's marks for a chain with that loss and its classifier, on cubes and spheres in turn."""
    twins = Batches(data.with_label, data.twins("test"))
    return assess(loss, input_logits(net, twins), data.label[twins.rows])


def _classified(logits: Tensor, data: Arrays) -> Metrics:
    return classification(logits, data.label[data.splits["test"]])

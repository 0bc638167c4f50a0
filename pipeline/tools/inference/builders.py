"""Which function builds a net that predicts classes, by the kind in its checkpoint."""

from collections.abc import Callable

from torch import nn

from pipeline.models.cilp import LidarClassifier
from pipeline.models.fusion import build_fusion
from pipeline.transfer.chain import build_classifier

BUILDERS: dict[str, Callable[..., nn.Module]] = {
    "fusion": build_fusion,
    "lidar": LidarClassifier,
    "classify": build_classifier,
}

"""How the nets that name classes are built from their checkpoints."""

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

"""RGB + LiDAR classifiers: two branches, a fusion, a head. One logit per pair; above 0 means sphere.

Sources: the intermediate and late nets follow the public "CILP assessment" solutions, their widths are the caller's.
"""

from collections.abc import Callable, Sequence
from functools import partial

import torch
from torch import Tensor, nn

from pipeline.models.encoders import SIZE, Standardise, flat_size, mlp, trunk

RGB_CHANNELS = 4  # red, green, blue, alpha
LIDAR_CHANNELS = 4  # x, y, z, mask


class Concat(nn.Module):
    """Both, side by side: (B, C, ...), (B, C, ...) -> (B, 2C, ...)."""

    widening = 2

    def forward(self, rgb: Tensor, lidar: Tensor) -> Tensor:
        return torch.cat([rgb, lidar], dim=1)


class Add(nn.Module):
    """The sum: (B, C, ...), (B, C, ...) -> (B, C, ...)."""

    widening = 1

    def forward(self, rgb: Tensor, lidar: Tensor) -> Tensor:
        return rgb + lidar


class Hadamard(nn.Module):
    """The product, value by value: (B, C, ...), (B, C, ...) -> (B, C, ...)."""

    widening = 1

    def forward(self, rgb: Tensor, lidar: Tensor) -> Tensor:
        return rgb * lidar


class FusionNet(nn.Module):
    """`head(fuse(rgb branch, lidar branch))`, built from finished parts."""

    def __init__(self, rgb: nn.Module, lidar: nn.Module, fuse: nn.Module, head: nn.Module) -> None:
        super().__init__()
        self.rgb = rgb
        self.lidar = lidar
        self.fuse = fuse
        self.head = head

    def forward(self, rgb: Tensor, lidar: Tensor) -> Tensor:
        """(B, 4, 64, 64) RGBA in [0, 1], (B, 4, 64, 64) xyza -> (B,) logits."""
        return self.head(self.fuse(self.rgb(rgb), self.lidar(lidar))).squeeze(1)


def late(downsample: str, branch: Sequence[int], embed: int, head: Sequence[int]) -> FusionNet:
    """Each modality becomes a vector of `embed` values; the two vectors meet only in the head."""

    def encoder(channels: int) -> nn.Sequential:
        widths = [channels, *branch]
        return nn.Sequential(trunk(widths, downsample), nn.Flatten(), nn.Linear(flat_size(SIZE, widths), embed))

    fuse = Concat()
    return FusionNet(encoder(RGB_CHANNELS), encoder(LIDAR_CHANNELS), fuse, mlp([fuse.widening * embed, *head, 1]))


def intermediate(
    fusion: Callable[[], nn.Module], downsample: str, branch: Sequence[int], shared: Sequence[int], head: Sequence[int]
) -> FusionNet:
    """Feature maps meet after `branch`; the convolutions `shared` and the head see both."""
    fuse = fusion()
    widths = [fuse.widening * branch[-1], *shared]
    flat = flat_size(SIZE >> len(branch), widths)
    tail = nn.Sequential(trunk(widths, downsample), nn.Flatten(), mlp([flat, *head, 1]))
    rgb, lidar = (trunk([channels, *branch], downsample) for channels in (RGB_CHANNELS, LIDAR_CHANNELS))
    return FusionNet(rgb, lidar, fuse, tail)


FUSIONS: dict[str, Callable[..., FusionNet]] = {
    "late": late,
    "concat": partial(intermediate, Concat),
    "add": partial(intermediate, Add),
    "hadamard": partial(intermediate, Hadamard),
}


def build_fusion(fusion: str, downsample: str, widths: dict, centre: float = 0.0, spread: float = 1.0) -> FusionNet:
    """The net of one cell; `widths` are those its kind takes, as in `fusion.nets` of params.yaml.

    Points are seen from `centre` units ahead, in units of `spread`, equally on all axes so that shapes stay true.
    """
    net = FUSIONS[fusion](downsample, **widths)
    points = Standardise([0.0, centre, 0.0, 0.0], [spread, spread, spread, 1.0])  # x, y, z, mask
    return FusionNet(net.rgb, nn.Sequential(points, net.lidar), net.fuse, net.head)

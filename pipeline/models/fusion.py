"""RGB + LiDAR classifiers: two branches, a fusion, a head. One logit per pair; above 0 means sphere.

Sources: intermediate and late nets, and the matrix product, follow the public "CILP assessment" solutions; gates follow
Arevalo et al. 2017 and cross-attention Vaswani et al. 2017. Widths are the caller's.
"""

from collections.abc import Callable, Sequence
from functools import partial

from torch import Tensor, nn

from pipeline.models.encoders import SIZE, Standardise, flat_size, mlp, trunk
from pipeline.models.fuse import Add, Attention, Concat, First, Gated, Hadamard, Matmul, Second

RGB_CHANNELS = 4  # red, green, blue, alpha
LIDAR_CHANNELS = 4  # x, y, z, mask


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


def encoder(channels: int, downsample: str, branch: Sequence[int], embed: int) -> nn.Sequential:
    """One modality as a vector: (B, channels, 64, 64) -> (B, embed)."""
    widths = [channels, *branch]
    return nn.Sequential(trunk(widths, downsample), nn.Flatten(), nn.Linear(flat_size(SIZE, widths), embed))


def rgb_alone(downsample: str, branch: Sequence[int], embed: int, head: Sequence[int]) -> FusionNet:
    """The RGB half of `late`: what the second sensor has to beat."""
    return FusionNet(encoder(RGB_CHANNELS, downsample, branch, embed), nn.Identity(), First(), mlp([embed, *head, 1]))


def lidar_alone(downsample: str, branch: Sequence[int], embed: int, head: Sequence[int]) -> FusionNet:
    """The LiDAR half of `late`."""
    return FusionNet(
        nn.Identity(), encoder(LIDAR_CHANNELS, downsample, branch, embed), Second(), mlp([embed, *head, 1])
    )


def early(downsample: str, branch: Sequence[int], head: Sequence[int]) -> FusionNet:
    """The raw inputs, stacked: one trunk sees all channels, pixel by pixel as they lie in the files."""
    widths = [RGB_CHANNELS + LIDAR_CHANNELS, *branch]
    tail = nn.Sequential(trunk(widths, downsample), nn.Flatten(), mlp([flat_size(SIZE, widths), *head, 1]))
    return FusionNet(nn.Identity(), nn.Identity(), Concat(), tail)


def late(downsample: str, branch: Sequence[int], embed: int, head: Sequence[int]) -> FusionNet:
    """Each modality becomes a vector of `embed` values; the two vectors meet only in the head."""
    rgb, lidar = (encoder(channels, downsample, branch, embed) for channels in (RGB_CHANNELS, LIDAR_CHANNELS))
    return FusionNet(rgb, lidar, Concat(), mlp([2 * embed, *head, 1]))


def halves(net: FusionNet) -> tuple[FusionNet, FusionNet]:
    """Each branch of a `late` net under a linear head of its own, to be trained alone; the branches are shared."""
    width = net.rgb[-1].out_features
    return (
        FusionNet(net.rgb, nn.Identity(), First(), nn.Linear(width, 1)),
        FusionNet(nn.Identity(), net.lidar, Second(), nn.Linear(width, 1)),
    )


def intermediate(
    fusion: Callable[[int, int], nn.Module],
    downsample: str,
    branch: Sequence[int],
    shared: Sequence[int],
    head: Sequence[int],
    **options: int,
) -> FusionNet:
    """Feature maps meet after `branch`; the convolutions `shared` and the head see both."""
    side = SIZE >> len(branch)
    fuse = fusion(branch[-1], side, **options)
    widths = [fuse.widening * branch[-1], *shared]
    tail = nn.Sequential(trunk(widths, downsample), nn.Flatten(), mlp([flat_size(side, widths), *head, 1]))
    rgb, lidar = (trunk([channels, *branch], downsample) for channels in (RGB_CHANNELS, LIDAR_CHANNELS))
    return FusionNet(rgb, lidar, fuse, tail)


FUSIONS: dict[str, Callable[..., FusionNet]] = {
    "rgb": rgb_alone,
    "lidar": lidar_alone,
    "early": early,
    "late": late,
    "late_frozen": late,  # the same net; training.branches finds its weights in another way
    "concat": partial(intermediate, lambda *_: Concat()),
    "add": partial(intermediate, lambda *_: Add()),
    "hadamard": partial(intermediate, lambda *_: Hadamard()),
    "matmul": partial(intermediate, lambda *_: Matmul()),
    "gated": partial(intermediate, lambda channels, _: Gated(channels)),
    "attention": partial(intermediate, Attention),
}


def build_fusion(fusion: str, downsample: str, widths: dict, centre: float = 0.0, spread: float = 1.0) -> FusionNet:
    """The net of one cell; `widths` are those its kind takes, as in `fusion.nets` of params.yaml.

    Points are seen from `centre` units ahead, in units of `spread`, equally on all axes so that shapes stay true.
    """
    net = FUSIONS[fusion](downsample, **widths)
    points = Standardise([0.0, centre, 0.0, 0.0], [spread, spread, spread, 1.0])  # x, y, z, mask
    return FusionNet(net.rgb, nn.Sequential(points, net.lidar), net.fuse, net.head)

"""Fusions of two sensors, and the RGB + LiDAR classifiers around them.

A fusion turns two feature maps, or two vectors, into one; the channels grow by `channel_multiplier`.
Intermediate and late nets and the matrix product follow the public "CILP assessment" solutions; gates follow Arevalo et
al. 2017 and cross-attention Vaswani et al. 2017. Shapes: B batch, C channels, H, W. A net gives one logit a pair; above
0 means sphere. A new fusion: a class here, an entry in FUSIONS, its widths in params.yaml, a test.
"""

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from inspect import Parameter, signature
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from pipeline.core.errors import PipelineError
from pipeline.core.sensors import IMAGE_SIZE, RGB_CHANNELS, XYZA_CHANNELS
from pipeline.models.blocks import Normalize, conv_trunk, flattened_size, mlp


class Fusion(nn.Module):
    """Join the outputs of two encoders: `forward(rgb, lidar)`."""

    channel_multiplier: int  # channels out / channels in


class RgbOnly(Fusion):
    """Pass RGB on and drop LiDAR: (B, C, ...), any -> (B, C, ...)."""

    channel_multiplier = 1

    def forward(self, rgb: Tensor, lidar: Tensor) -> Tensor:
        return rgb


class LidarOnly(Fusion):
    """Pass LiDAR on and drop RGB: any, (B, C, ...) -> (B, C, ...)."""

    channel_multiplier = 1

    def forward(self, rgb: Tensor, lidar: Tensor) -> Tensor:
        return lidar


class Concat(Fusion):
    """Concatenate the channels: (B, C, ...), (B, C, ...) -> (B, 2C, ...)."""

    channel_multiplier = 2

    def forward(self, rgb: Tensor, lidar: Tensor) -> Tensor:
        return torch.cat([rgb, lidar], dim=1)


class Add(Fusion):
    """Add the values: (B, C, ...), (B, C, ...) -> (B, C, ...)."""

    channel_multiplier = 1

    def forward(self, rgb: Tensor, lidar: Tensor) -> Tensor:
        return rgb + lidar


class Hadamard(Fusion):
    """Multiply value by value: (B, C, ...), (B, C, ...) -> (B, C, ...)."""

    channel_multiplier = 1

    def forward(self, rgb: Tensor, lidar: Tensor) -> Tensor:
        return rgb * lidar


class Matmul(Fusion):
    """Multiply each channel's two maps as matrices, as the course does: (B, C, H, H), (B, C, H, H) -> (B, C, H, H).

    Row i, column j sums RGB's row i against LiDAR's column j: it mixes places, and grows with H.
    """

    channel_multiplier = 1

    def forward(self, rgb: Tensor, lidar: Tensor) -> Tensor:
        return rgb @ lidar


class Gated(Fusion):
    """Blend channel by channel and place by place, by a gate that sees both maps (Arevalo et al. 2017).

    `gate * rgb + (1 - gate) * lidar`, the gate a sigmoid of a 1x1 convolution: (B, C, H, W) twice -> (B, C, H, W).
    """

    channel_multiplier = 1

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.gate = nn.Conv2d(2 * channels, channels, 1)

    def forward(self, rgb: Tensor, lidar: Tensor) -> Tensor:
        gate = torch.sigmoid(self.gate(torch.cat([rgb, lidar], dim=1)))
        return gate * rgb + (1 - gate) * lidar


class Attention(Fusion):
    """Let every place of one map attend to all places of the other, in both directions (Vaswani et al. 2017).

    Each map is added to what it attends to: (B, C, H, H) twice -> (B, 2C, H, H). The two sensors' pictures are turned
    against each other; learned position embeddings let a place attend to a different one.
    """

    channel_multiplier = 2

    def __init__(self, channels: int, side: int, num_heads: int) -> None:
        super().__init__()
        self.rgb_pos_embed = nn.Parameter(torch.randn(side * side, channels) * 0.02)  # (H*H, C)
        self.lidar_pos_embed = nn.Parameter(torch.randn(side * side, channels) * 0.02)
        self.rgb_to_lidar_attn = nn.MultiheadAttention(channels, num_heads, batch_first=True)
        self.lidar_to_rgb_attn = nn.MultiheadAttention(channels, num_heads, batch_first=True)

    def forward(self, rgb: Tensor, lidar: Tensor) -> Tensor:
        rgb_tokens = rgb.flatten(2).mT + self.rgb_pos_embed  # (B, H*H, C)
        lidar_tokens = lidar.flatten(2).mT + self.lidar_pos_embed
        to_rgb, _ = self.rgb_to_lidar_attn(rgb_tokens, lidar_tokens, lidar_tokens, need_weights=False)
        to_lidar, _ = self.lidar_to_rgb_attn(lidar_tokens, rgb_tokens, rgb_tokens, need_weights=False)
        return torch.cat([rgb + to_rgb.mT.reshape(rgb.shape), lidar + to_lidar.mT.reshape(lidar.shape)], dim=1)


class FusionNet(nn.Module):
    """Classify a pair: encode each sensor, fuse, classify. Composed of built parts."""

    def __init__(self, rgb: nn.Module, lidar: nn.Module, fuse: nn.Module, head: nn.Module) -> None:
        super().__init__()
        self.rgb = rgb
        self.lidar = lidar
        self.fuse = fuse
        self.head = head

    def forward(self, rgb: Tensor, lidar: Tensor) -> Tensor:
        """Return logits: (B, 4, 64, 64) RGBA in [0, 1], (B, 4, 64, 64) xyza -> (B,)."""
        return self.classify_features(self.rgb(rgb), self.lidar(lidar))

    def classify_features(self, rgb: Tensor, lidar: Tensor) -> Tensor:
        """Return logits (B,) from the outputs of the encoders `rgb` and `lidar`: two (B, C, ...)."""
        return self.head(self.fuse(rgb, lidar)).squeeze(1)


def encoder(in_channels: int, downsample: str, channels: Sequence[int], embed_dim: int) -> nn.Sequential:
    """Build the encoder of one sensor: (B, in_channels, 64, 64) -> (B, embed_dim)."""
    widths = [in_channels, *channels]
    trunk = conv_trunk(widths, downsample)
    return nn.Sequential(trunk, nn.Flatten(), nn.Linear(flattened_size(IMAGE_SIZE, widths), embed_dim))


class Inputs(NamedTuple):
    """The modules that standardize each sensor before the first convolution: (B, C, H, W) -> (B, C, H, W)."""

    rgb: nn.Module
    lidar: nn.Module


def rgb_only(
    inputs: Inputs, downsample: str, channels: Sequence[int], embed_dim: int, head_dims: Sequence[int]
) -> FusionNet:
    """Build the RGB half of `late`: the baseline that a second sensor has to beat."""
    rgb = nn.Sequential(inputs.rgb, encoder(RGB_CHANNELS, downsample, channels, embed_dim))
    return FusionNet(rgb, nn.Identity(), RgbOnly(), mlp([embed_dim, *head_dims, 1]))


def lidar_only(
    inputs: Inputs, downsample: str, channels: Sequence[int], embed_dim: int, head_dims: Sequence[int]
) -> FusionNet:
    """Build the LiDAR half of `late`."""
    lidar = nn.Sequential(inputs.lidar, encoder(XYZA_CHANNELS, downsample, channels, embed_dim))
    return FusionNet(nn.Identity(), lidar, LidarOnly(), mlp([embed_dim, *head_dims, 1]))


def early(inputs: Inputs, downsample: str, channels: Sequence[int], head_dims: Sequence[int]) -> FusionNet:
    """Build a net of one trunk that sees all channels of both sensors, pixel by pixel as they lie in the files."""
    widths = [RGB_CHANNELS + XYZA_CHANNELS, *channels]
    trunk, head = conv_trunk(widths, downsample), mlp([flattened_size(IMAGE_SIZE, widths), *head_dims, 1])
    return FusionNet(*inputs, Concat(), nn.Sequential(trunk, nn.Flatten(), head))


def late(
    inputs: Inputs, downsample: str, channels: Sequence[int], embed_dim: int, head_dims: Sequence[int]
) -> FusionNet:
    """Build a net that turns each sensor into a vector of `embed_dim` values; the vectors meet only in the head."""
    rgb = nn.Sequential(inputs.rgb, encoder(RGB_CHANNELS, downsample, channels, embed_dim))
    lidar = nn.Sequential(inputs.lidar, encoder(XYZA_CHANNELS, downsample, channels, embed_dim))
    return FusionNet(rgb, lidar, Concat(), mlp([2 * embed_dim, *head_dims, 1]))


def unimodal_nets(net: FusionNet) -> tuple[FusionNet, FusionNet]:
    """Give each encoder of a `late` net a linear head, to be trained alone; the encoders are shared with `net`."""
    *_, last = net.rgb.modules()
    if not isinstance(last, nn.Linear):
        raise TypeError("expected a net of `late`, whose encoders end in a linear layer")
    embed_dim = last.out_features
    return (
        FusionNet(net.rgb, nn.Identity(), RgbOnly(), nn.Linear(embed_dim, 1)),
        FusionNet(nn.Identity(), net.lidar, LidarOnly(), nn.Linear(embed_dim, 1)),
    )


def intermediate(
    fusion: Callable[..., Fusion],
    inputs: Inputs,
    downsample: str,
    channels: Sequence[int],
    shared_channels: Sequence[int],
    head_dims: Sequence[int],
) -> FusionNet:
    """Build a net whose feature maps meet after `channels`; the trunk `shared_channels` and the head see both.

    `fusion(C, H)` builds the module that joins two maps (B, C, H, H).
    """
    side = IMAGE_SIZE >> len(channels)
    fuse = fusion(channels[-1], side)
    widths = [fuse.channel_multiplier * channels[-1], *shared_channels]
    shared, head = conv_trunk(widths, downsample), mlp([flattened_size(side, widths), *head_dims, 1])
    rgb, lidar = (conv_trunk([first, *channels], downsample) for first in (RGB_CHANNELS, XYZA_CHANNELS))
    encoders = nn.Sequential(inputs.rgb, rgb), nn.Sequential(inputs.lidar, lidar)
    return FusionNet(*encoders, fuse, nn.Sequential(shared, nn.Flatten(), head))


def attention(
    inputs: Inputs,
    downsample: str,
    channels: Sequence[int],
    shared_channels: Sequence[int],
    head_dims: Sequence[int],
    num_heads: int,
) -> FusionNet:
    """Build an intermediate net that joins its maps by cross-attention of `num_heads` heads."""
    fusion = partial(Attention, num_heads=num_heads)
    return intermediate(fusion, inputs, downsample, channels, shared_channels, head_dims)


# Arguments of a builder: the modules that standardize the inputs, the downsampling, then the widths in params.yaml.
FUSIONS: dict[str, Callable[..., FusionNet]] = {
    "rgb": rgb_only,
    "lidar": lidar_only,
    "early": early,
    "late": late,
    "late_frozen": late,  # the net of `late`; training.frozen finds its weights in another way
    "concat": partial(intermediate, lambda *_: Concat()),
    "add": partial(intermediate, lambda *_: Add()),
    "hadamard": partial(intermediate, lambda *_: Hadamard()),
    "matmul": partial(intermediate, lambda *_: Matmul()),
    "gated": partial(intermediate, lambda channels, _: Gated(channels)),
    "attention": attention,
}


def check_widths(fusion: str, widths: Mapping[str, Any]) -> None:
    """Raise PipelineError, by full key of params.yaml, unless the builder of `fusion` takes exactly these `widths`."""
    if fusion not in FUSIONS:
        raise PipelineError(
            f"fusion.nets.{fusion} is not a fusion of pipeline/models/fusion.py: expected one of {', '.join(FUSIONS)}; "
            "remove it, or add its builder to FUSIONS"
        )
    _, _, *parameters = signature(FUSIONS[fusion]).parameters.values()
    names = [parameter.name for parameter in parameters]
    required = [parameter.name for parameter in parameters if parameter.default is Parameter.empty]
    errors = [f"fusion.nets.{fusion}.{name} is missing: add it" for name in required if name not in widths]
    errors += [
        f"fusion.nets.{fusion}.{name} is not a width of {fusion}, which takes {', '.join(names)}: remove it"
        for name in widths
        if name not in names
    ]
    if errors:
        raise PipelineError("; ".join(errors))


def check_nets(nets: Mapping[str, Mapping[str, Any]]) -> None:
    """Raise PipelineError unless every net of `fusion.nets` has a builder that takes its widths."""
    for fusion, widths in nets.items():
        try:
            check_widths(fusion, widths)
        except PipelineError as error:
            raise PipelineError(f"params.yaml: {error}") from None


def build_fusion(
    fusion: str,
    downsample: str,
    widths: Mapping[str, Any],
    rgb_mean: Sequence[float] = (0.0, 0.0, 0.0),
    rgb_std: Sequence[float] = (1.0, 1.0, 1.0),
    depth_mean: float = 0.0,
    depth_std: float = 1.0,
) -> FusionNet:
    """Build the net of one cell; `widths` are the arguments of its builder, as in `fusion.nets` of params.yaml.

    Colors are centred at `rgb_mean` and scaled by `rgb_std`, (3,) in [0, 1]. Points are centred `depth_mean` units
    ahead and scaled by `depth_std`, equally on all axes so that shapes stay true. The defaults take both raw. Raises
    PipelineError if there is no such fusion or its builder takes other widths.
    """
    check_widths(fusion, widths)
    pixels = Normalize([*rgb_mean, 0.0], [*rgb_std, 1.0])  # red, green, blue, alpha
    points = Normalize([0.0, depth_mean, 0.0, 0.0], [depth_std, depth_std, depth_std, 1.0])  # x, y, z, mask
    return FUSIONS[fusion](Inputs(pixels, points), downsample, **widths)

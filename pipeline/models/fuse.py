"""The fusions themselves: two feature maps, or two vectors, become one. `widening` is how many times the channels grow.

Shapes: B batch, C channels; the maps of both modalities have the same shape.
"""

import torch
from torch import Tensor, nn


class First(nn.Module):
    """RGB alone, for the baseline without LiDAR."""

    widening = 1

    def forward(self, rgb: Tensor, lidar: Tensor) -> Tensor:
        return rgb


class Second(nn.Module):
    """LiDAR alone, for the baseline without RGB."""

    widening = 1

    def forward(self, rgb: Tensor, lidar: Tensor) -> Tensor:
        return lidar


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


class Matmul(nn.Module):
    """The matrix product of each channel's two maps, as the course has it: (B, C, H, H), (B, C, H, H) -> (B, C, H, H).

    Row i, column j sums RGB's row i against LiDAR's column j: it mixes places, and grows with H.
    """

    widening = 1

    def forward(self, rgb: Tensor, lidar: Tensor) -> Tensor:
        return rgb @ lidar


class Gated(nn.Module):
    """A blend, channel by channel and place by place, by a gate that sees both (Arevalo et al. 2017).

    `gate * rgb + (1 - gate) * lidar`, the gate a sigmoid of a 1x1 convolution: (B, C, H, W) twice -> (B, C, H, W).
    """

    widening = 1

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.gate = nn.Conv2d(2 * channels, channels, 1)

    def forward(self, rgb: Tensor, lidar: Tensor) -> Tensor:
        gate = torch.sigmoid(self.gate(torch.cat([rgb, lidar], dim=1)))
        return gate * rgb + (1 - gate) * lidar


class Attention(nn.Module):
    """Cross-attention: every place of one map asks all places of the other (Vaswani et al. 2017), in both directions.

    Each map keeps itself and adds what it found: (B, C, H, H) twice -> (B, 2C, H, H). The two sensors' pictures lie
    turned against each other; learned positions let a place ask for another.
    """

    widening = 2

    def __init__(self, channels: int, side: int, heads: int) -> None:
        super().__init__()
        self.rgb_places, self.lidar_places = (nn.Parameter(torch.randn(side * side, channels) * 0.02) for _ in range(2))
        self.rgb_asks, self.lidar_asks = (nn.MultiheadAttention(channels, heads, batch_first=True) for _ in range(2))

    def forward(self, rgb: Tensor, lidar: Tensor) -> Tensor:
        rgb_tokens = rgb.flatten(2).mT + self.rgb_places  # (B, H*H, C)
        lidar_tokens = lidar.flatten(2).mT + self.lidar_places
        to_rgb, _ = self.rgb_asks(rgb_tokens, lidar_tokens, lidar_tokens, need_weights=False)
        to_lidar, _ = self.lidar_asks(lidar_tokens, rgb_tokens, rgb_tokens, need_weights=False)
        return torch.cat([rgb + to_rgb.mT.reshape(rgb.shape), lidar + to_lidar.mT.reshape(lidar.shape)], dim=1)

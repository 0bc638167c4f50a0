"""The small convolutional trunks and fully connected heads that every net here is made of.

Nothing here knows a modality or a fusion. Shapes: B batch, C channels, H, W.
"""

from collections.abc import Callable, Sequence
from itertools import pairwise

import torch
from torch import Tensor, nn


def _maxpool(in_channels: int, out_channels: int, norm: list[nn.Module]) -> list[nn.Module]:
    # pooled before the ReLU: the function is the same, since ReLU does not change which of four values is the largest,
    # and the ReLU then costs a quarter (7% of a step in bfloat16, 11% in float32)
    # batch normalization of pooled values costs a quarter as well, and CILP learns faster with it
    return [nn.Conv2d(in_channels, out_channels, 3, padding=1), nn.MaxPool2d(2), *norm, nn.ReLU()]


def _strided(in_channels: int, out_channels: int, norm: list[nn.Module]) -> list[nn.Module]:
    # the stride sits in the same convolution, so the parameters are those of maxpool
    return [nn.Conv2d(in_channels, out_channels, 3, stride=2, padding=1), *norm, nn.ReLU()]


def _strided_extra(in_channels: int, out_channels: int, norm: list[nn.Module]) -> list[nn.Module]:
    # a convolution in the place of the pool, and like the pool without a ReLU of its own
    return [
        nn.Conv2d(in_channels, out_channels, 3, padding=1),
        *norm,
        nn.ReLU(),
        nn.Conv2d(out_channels, out_channels, 3, stride=2, padding=1),
    ]


DOWNSAMPLE: dict[str, Callable[[int, int, list[nn.Module]], list[nn.Module]]] = {
    "maxpool": _maxpool,
    "strided": _strided,
    "strided_extra": _strided_extra,
}
NORM: dict[str, Callable[[int], list[nn.Module]]] = {
    "none": lambda _: [],
    "batch": lambda channels: [nn.BatchNorm2d(channels)],
}


class Normalize(nn.Module):
    """Compute (value - mean) / std per channel: (B, C, H, W) -> (B, C, H, W).

    The constants belong to the net's description and not to its weights, so that weights keep the course's keys.
    """

    def __init__(self, mean: Sequence[float], std: Sequence[float]) -> None:
        super().__init__()
        self.mean: Tensor
        self.std: Tensor
        self.register_buffer("mean", torch.tensor(mean).view(1, -1, 1, 1), persistent=False)
        self.register_buffer("std", torch.tensor(std).view(1, -1, 1, 1), persistent=False)

    def forward(self, values: Tensor) -> Tensor:
        # constants as large as a picture: to broadcast four channels, the innermost axis, takes 2 to 6% of a step more
        mean, std = (
            constant.expand_as(values[:1]).contiguous(memory_format=torch.channels_last)
            for constant in (self.mean, self.std)
        )
        return (values - mean) / std


def conv_trunk(channels: Sequence[int], downsample: str = "maxpool", norm: str = "none") -> nn.Sequential:
    """Build blocks channels[0] -> channels[1] -> ..., each halving H and W: (B, C, H, W) -> (B, C', H/2^n, W/2^n)."""
    block, norm_layers = DOWNSAMPLE[downsample], NORM[norm]
    return nn.Sequential(*(layer for pair in pairwise(channels) for layer in block(*pair, norm_layers(pair[1]))))


def mlp(dims: Sequence[int]) -> nn.Sequential:
    """Build linear layers dims[0] -> dims[1] -> ... with ReLU between them, none after the last: (B, D) -> (B, D')."""
    layers = [layer for pair in pairwise(dims) for layer in (nn.Linear(*pair), nn.ReLU())]
    return nn.Sequential(*layers[:-1])


def flattened_size(size: int, channels: Sequence[int]) -> int:
    """Return the number of values of a size x size picture after `conv_trunk(channels)`; halvings round down."""
    side = size >> (len(channels) - 1)
    return channels[-1] * side * side


def freeze(module: nn.Module) -> nn.Module:
    """Stop every parameter of `module` from training, and return `module`.

    Setting `requires_grad` on the module itself would do nothing.
    """
    for parameter in module.parameters():
        parameter.requires_grad_(False)
    return module

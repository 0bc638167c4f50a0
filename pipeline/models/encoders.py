"""The small convolutional trunks and fully connected heads that every net here is made of.

Knows no modality and no fusion. Shapes: B batch, C channels, H, W.
"""

from collections.abc import Callable, Sequence
from itertools import pairwise

import torch
from torch import Tensor, nn


def _maxpool(inputs: int, outputs: int, norm: list[nn.Module]) -> list[nn.Module]:
    return [nn.Conv2d(inputs, outputs, 3, padding=1), *norm, nn.ReLU(), nn.MaxPool2d(2)]


def _strided(inputs: int, outputs: int, norm: list[nn.Module]) -> list[nn.Module]:
    # the stride sits in the same convolution, so the parameters are those of maxpool
    return [nn.Conv2d(inputs, outputs, 3, stride=2, padding=1), *norm, nn.ReLU()]


def _strided_extra(inputs: int, outputs: int, norm: list[nn.Module]) -> list[nn.Module]:
    # a convolution in the place of the pool, and like the pool without a ReLU of its own
    return [
        nn.Conv2d(inputs, outputs, 3, padding=1),
        *norm,
        nn.ReLU(),
        nn.Conv2d(outputs, outputs, 3, stride=2, padding=1),
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


SIZE = 64  # rows and columns of both sensors


class Standardise(nn.Module):
    """(value - mean) / std, channel by channel: (B, C, H, W) -> (B, C, H, W).

    The constants belong to the net's description and not to its weights, so that weights keep the course's keys.
    """

    def __init__(self, mean: Sequence[float], std: Sequence[float]) -> None:
        super().__init__()
        self.register_buffer("mean", torch.tensor(mean).view(1, -1, 1, 1), persistent=False)
        self.register_buffer("std", torch.tensor(std).view(1, -1, 1, 1), persistent=False)

    def forward(self, values: Tensor) -> Tensor:
        return (values - self.mean) / self.std


def trunk(channels: Sequence[int], downsample: str = "maxpool", norm: str = "none") -> nn.Sequential:
    """Blocks channels[0] -> channels[1] -> ..., each halving H and W: (B, C, H, W) -> (B, C', H/2^n, W/2^n)."""
    block, normalise = DOWNSAMPLE[downsample], NORM[norm]
    return nn.Sequential(*(layer for pair in pairwise(channels) for layer in block(*pair, normalise(pair[1]))))


def mlp(widths: Sequence[int]) -> nn.Sequential:
    """Linear layers widths[0] -> widths[1] -> ... with ReLU between them, none after the last."""
    layers = [layer for pair in pairwise(widths) for layer in (nn.Linear(*pair), nn.ReLU())]
    return nn.Sequential(*layers[:-1])


def flat_size(size: int, channels: Sequence[int]) -> int:
    """Values left of a size x size picture after `trunk(channels)`, flattened; the halvings round down."""
    side = size >> (len(channels) - 1)
    return channels[-1] * side * side


def freeze(module: nn.Module) -> nn.Module:
    """Stop every parameter of `module` (setting the flag on the module itself would do nothing) and return it."""
    for parameter in module.parameters():
        parameter.requires_grad_(False)
    return module

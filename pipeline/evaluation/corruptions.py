"""Sensor faults, applied to pairs as the sensors wrote them. Pure tensor maths: no files, no parameters, no nets.

Each fault changes one sensor, passes the other on as it is, and writes to neither. What a fault draws has the same
shape at every severity: with the same seed, a stronger fault is the weaker one grown.
"""

import math
from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn import functional as F

from pipeline.core.sensors import NO_RETURN

NEAREST = torch.finfo(torch.float32).tiny  # between these two a ray has returned
FARTHEST = NO_RETURN - 2.0**-18  # the last float32 before NO_RETURN


class Frames(NamedTuple):
    """Pairs as the sensors wrote them."""

    rgb: Tensor  # (B, H, W, 4) uint8 RGBA
    depth: Tensor  # (B, H, W) float32 in (0, 50], Omniverse units; 50 = no return


def lidar_noise(frames: Frames, severity: float, draw: torch.Generator) -> Frames:
    """Gaussian noise along the ray, standard deviation `severity` >= 0 Omniverse units; a return stays a return."""
    _require(0 <= severity < math.inf, "lidar_noise", severity, "a finite standard deviation of at least 0")
    noise = torch.randn(frames.depth.shape, generator=draw).to(frames.depth)  # drawn on the CPU: the same everywhere
    noisy = (frames.depth + severity * noise).clamp(NEAREST, FARTHEST)
    return frames._replace(depth=torch.where(frames.depth < NO_RETURN, noisy, frames.depth))


def lidar_dropout(frames: Frames, severity: float, draw: torch.Generator) -> Frames:
    """Each return is lost with probability `severity` in [0, 1], independently of the others."""
    _require(0 <= severity <= 1, "lidar_dropout", severity, "a probability in [0, 1]")
    chance = torch.rand(frames.depth.shape, generator=draw).to(frames.depth)  # [0, 1)
    return _lose(frames, chance < severity)


def lidar_beams(frames: Frames, severity: float, draw: torch.Generator) -> Frames:
    """Every `severity`-th beam is left, from beam `severity` // 2 on; a whole number >= 1. A beam is a column."""
    _require(severity >= 1 and float(severity).is_integer(), "lidar_beams", severity, "a whole number of at least 1")
    beams = torch.arange(frames.depth.shape[-1], device=frames.depth.device)  # (W,)
    return _lose(frames, beams % severity != severity // 2)


def lidar_range(frames: Frames, severity: float, draw: torch.Generator) -> Frames:
    """Returns farther than `severity` >= 0 Omniverse units are lost; from 50 on, none is."""
    _require(severity >= 0, "lidar_range", severity, "a range of at least 0")
    return _lose(frames, frames.depth > severity)


def lidar_missing(frames: Frames) -> Frames:
    """No ray returns."""
    return frames._replace(depth=torch.full_like(frames.depth, NO_RETURN))


def rgb_dark(frames: Frames, severity: float, draw: torch.Generator) -> Frames:
    """Brightness, as stored in the file, times `severity` in [0, 1]: 1 is no fault, 0 is black."""
    _require(0 <= severity <= 1, "rgb_dark", severity, "a factor in [0, 1]")
    return _paint(frames, severity * _colours(frames))


def rgb_noise(frames: Frames, severity: float, draw: torch.Generator) -> Frames:
    """Gaussian noise on R, G and B apart, standard deviation `severity` >= 0 of full scale (1 = 255 levels)."""
    _require(0 <= severity < math.inf, "rgb_noise", severity, "a finite standard deviation of at least 0")
    colours = _colours(frames)
    noise = torch.randn(colours.shape, generator=draw).to(colours)
    return _paint(frames, colours + 255 * severity * noise)


def rgb_blur(frames: Frames, severity: float, draw: torch.Generator) -> Frames:
    """Gaussian blur, standard deviation `severity` >= 0 pixels, cut off beyond three of them.

    The frame's edge goes on outside it: zeros would darken an object that the frame cuts, and do nothing for others.
    """
    _require(0 <= severity < math.inf, "rgb_blur", severity, "a finite standard deviation of at least 0")
    colours = _colours(frames).permute(0, 3, 1, 2)  # (B, 3, H, W)
    radius = math.ceil(3 * severity)
    steps = torch.arange(-radius, radius + 1, device=colours.device).to(colours)  # (K,)
    kernel = torch.softmax(-((steps / max(severity, 1e-9)) ** 2) / 2, dim=0)  # (K,), at no blur [1] and not 0 / 0
    padded = F.pad(colours, [radius] * 4, mode="replicate").flatten(0, 1).unsqueeze(1)  # (3B, 1, H + K - 1, W + K - 1)
    blurred = F.conv2d(F.conv2d(padded, kernel.reshape(1, 1, -1, 1)), kernel.reshape(1, 1, 1, -1))  # (3B, 1, H, W)
    return _paint(frames, blurred.reshape(colours.shape).permute(0, 2, 3, 1))  # (B, H, W, 3)


def rgb_colour(frames: Frames, severity: float, draw: torch.Generator) -> Frames:
    """Hue turned by `severity` degrees around the grey axis, red towards green; what leaves the range is clamped."""
    _require(math.isfinite(severity), "rgb_colour", severity, "a finite angle in degrees")
    # the rotation about (1, 1, 1): what a channel keeps, gets from the one before it, and from the one after it
    own, before, after = ((1 + 2 * math.cos(math.radians(severity - third))) / 3 for third in (0, 120, 240))
    colours = _colours(frames)
    return _paint(frames, own * colours + before * colours.roll(1, dims=-1) + after * colours.roll(-1, dims=-1))


def rgb_missing(frames: Frames) -> Frames:
    """Every byte of the pictures is 0, alpha too."""
    return frames._replace(rgb=torch.zeros_like(frames.rgb))


CORRUPTIONS: dict[str, Callable[[Frames, float, torch.Generator], Frames]] = {
    "lidar_noise": lidar_noise,
    "lidar_dropout": lidar_dropout,
    "lidar_beams": lidar_beams,
    "lidar_range": lidar_range,
    "rgb_dark": rgb_dark,
    "rgb_noise": rgb_noise,
    "rgb_blur": rgb_blur,
    "rgb_colour": rgb_colour,
}

MISSING_SENSORS: dict[str, Callable[[Frames], Frames]] = {"rgb_missing": rgb_missing, "lidar_missing": lidar_missing}


def mismatched_scene(scene_pairs: Tensor) -> Tensor:
    """Rows by scene (S, 2), cube and sphere -> rows whose LiDAR to show: the same class in the next scene, (S, 2)."""
    if len(scene_pairs) < 2:
        raise ValueError(f"found {len(scene_pairs)} scenes; expected at least 2, or there is no other scene")
    return scene_pairs.roll(-1, dims=0)  # (S, 2)


def mismatched_shape(scene_pairs: Tensor) -> Tensor:
    """As `other_scene`, but of the other class."""
    return mismatched_scene(scene_pairs).flip(1)  # (S, 2)


def _require(fits: bool, fault: str, severity: float, expected: str) -> None:
    if not fits:
        raise ValueError(f"{fault}: found severity {severity}; expected {expected}")


def _lose(frames: Frames, lost: Tensor) -> Frames:
    """`lost` (B, H, W), or (W,) for whole beams: these rays do not return."""
    return frames._replace(depth=frames.depth.masked_fill(lost, NO_RETURN))


def _colours(frames: Frames) -> Tensor:
    """R, G, B as (B, H, W, 3) in [0, 255]; float64, since a GPU's TF32 or bfloat16 would round to other bytes."""
    return frames.rgb[..., :3].double()


def _paint(frames: Frames, colours: Tensor) -> Frames:
    """The frames in other colours (B, H, W, 3), rounded and clamped to bytes; alpha stays."""
    painted = colours.round().clamp(0, 255).to(torch.uint8)
    return frames._replace(rgb=torch.cat([painted, frames.rgb[..., 3:]], dim=-1))  # (B, H, W, 4)

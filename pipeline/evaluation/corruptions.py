"""Sensor faults, applied to pairs as the sensors wrote them. Pure tensor maths: no files, no parameters, no nets.

Each fault changes one sensor, returns the other as it is, and writes to neither. With one seed a fault draws equal
numbers at every severity, so that a stronger fault is the weaker one, enlarged.
"""

import math
from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor

from pipeline.core.sensors import NO_RETURN

NEAREST = torch.finfo(torch.float32).tiny  # between these two a ray has returned
FARTHEST = NO_RETURN - 2.0**-18  # the last float32 before NO_RETURN


class Frames(NamedTuple):
    """Pairs as the sensors wrote them."""

    rgb: Tensor  # (B, H, W, 4) uint8 RGBA
    depth: Tensor  # (B, H, W) float32 in (0, 50], Omniverse units; 50 = no return


def lidar_noise(frames: Frames, severity: float, draw: torch.Generator) -> Frames:
    """Add Gaussian noise along the ray, standard deviation `severity` >= 0 Omniverse units; a return stays a return."""
    _require(0 <= severity < math.inf, "lidar_noise", severity, "a finite standard deviation of at least 0")
    noise = torch.randn(frames.depth.shape, generator=draw).to(frames.depth)  # drawn on the CPU: equal on any device
    noisy = (frames.depth + severity * noise).clamp(NEAREST, FARTHEST)
    return frames._replace(depth=torch.where(frames.depth < NO_RETURN, noisy, frames.depth))


def lidar_dropout(frames: Frames, severity: float, draw: torch.Generator) -> Frames:
    """Lose each return with probability `severity` in [0, 1], independently of the others."""
    _require(0 <= severity <= 1, "lidar_dropout", severity, "a probability in [0, 1]")
    chance = torch.rand(frames.depth.shape, generator=draw).to(frames.depth)  # [0, 1)
    return _lose(frames, chance < severity)


def lidar_beams(frames: Frames, severity: float, draw: torch.Generator) -> Frames:
    """Keep every `severity`-th beam (a column), from beam `severity` // 2 on; `severity` is a whole number >= 1."""
    _require(severity >= 1 and float(severity).is_integer(), "lidar_beams", severity, "a whole number of at least 1")
    beams = torch.arange(frames.depth.shape[-1], device=frames.depth.device)  # (W,)
    return _lose(frames, beams % severity != severity // 2)


def lidar_range(frames: Frames, severity: float, draw: torch.Generator) -> Frames:
    """Lose the returns farther than `severity` >= 0 Omniverse units; from 50 on, none is lost."""
    _require(severity >= 0, "lidar_range", severity, "a range of at least 0")
    return _lose(frames, frames.depth > severity)


def lidar_missing(frames: Frames) -> Frames:
    """Lose every return."""
    return frames._replace(depth=torch.full_like(frames.depth, NO_RETURN))


def rgb_dark(frames: Frames, severity: float, draw: torch.Generator) -> Frames:
    """Multiply brightness, as stored in the file, by `severity` in [0, 1]: 1 is no fault, 0 is black."""
    _require(0 <= severity <= 1, "rgb_dark", severity, "a factor in [0, 1]")
    return _paint(frames, severity * _colours(frames))


def rgb_noise(frames: Frames, severity: float, draw: torch.Generator) -> Frames:
    """Add Gaussian noise to R, G and B apart, standard deviation `severity` >= 0 of full scale (1 = 255 levels)."""
    _require(0 <= severity < math.inf, "rgb_noise", severity, "a finite standard deviation of at least 0")
    colours = _colours(frames)
    noise = torch.randn(colours.shape, generator=draw).to(colours)
    return _paint(frames, colours + 255 * severity * noise)


def rgb_blur(frames: Frames, severity: float, draw: torch.Generator) -> Frames:
    """Blur by a Gaussian of standard deviation `severity` >= 0 pixels, cut off beyond three standard deviations.

    Pixels at the edge are repeated outside the frame: zeros would darken an object that the frame cuts.
    """
    _require(0 <= severity < math.inf, "rgb_blur", severity, "a finite standard deviation of at least 0")
    colours = _colours(frames).permute(0, 3, 1, 2)  # (B, 3, H, W)
    radius = math.ceil(3 * severity)
    steps = torch.arange(-radius, radius + 1, device=colours.device).to(colours)  # (K,)
    kernel = torch.softmax(-((steps / max(severity, 1e-9)) ** 2) / 2, dim=0)  # (K,), at no blur [1] and not 0 / 0
    rows, columns = (_edge_filter(kernel, size) for size in colours.shape[2:])  # (H, H), (W, W)
    return _paint(frames, (rows @ colours @ columns.T).permute(0, 2, 3, 1))  # (B, H, W, 3)


def _edge_filter(kernel: Tensor, size: int) -> Tensor:
    """Return a filter (K,) as a matrix (size, size) that filters a column; its ends are repeated beyond the frame.

    In float64 a matrix product of this size is 20 times as fast as torch's convolution.
    """
    rows, radius = torch.arange(size, device=kernel.device), len(kernel) // 2
    matrix = kernel.new_zeros(size, size)
    for offset, weight in enumerate(kernel, start=-radius):
        matrix[rows, (rows + offset).clamp(0, size - 1)] += weight
    return matrix


def rgb_colour(frames: Frames, severity: float, draw: torch.Generator) -> Frames:
    """Turn the hue by `severity` degrees around the grey axis, red towards green; clamp values to bytes."""
    _require(math.isfinite(severity), "rgb_colour", severity, "a finite angle in degrees")
    # rotation about (1, 1, 1): weights of the channel itself, of the channel before it and of the channel after it
    own, before, after = ((1 + 2 * math.cos(math.radians(severity - third))) / 3 for third in (0, 120, 240))
    colours = _colours(frames)
    return _paint(frames, own * colours + before * colours.roll(1, dims=-1) + after * colours.roll(-1, dims=-1))


def rgb_missing(frames: Frames) -> Frames:
    """Set every byte of the pictures to 0, alpha too."""
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
    """Return for each row of (S, 2), a cube and a sphere a scene, the row of its class in the next scene: (S, 2).

    Raises ValueError for fewer than two scenes.
    """
    if len(scene_pairs) < 2:
        raise ValueError(f"found {len(scene_pairs)} scenes; expected at least 2, or there is no other scene")
    return scene_pairs.roll(-1, dims=0)  # (S, 2)


def mismatched_shape(scene_pairs: Tensor) -> Tensor:
    """Return for each row of (S, 2), a cube and a sphere a scene, the other class in the next scene: (S, 2).

    Raises ValueError for fewer than two scenes.
    """
    return mismatched_scene(scene_pairs).flip(1)  # (S, 2)


def _require(fits: bool, fault: str, severity: float, expected: str) -> None:
    if not fits:
        raise ValueError(f"{fault}: found severity {severity}; expected {expected}")


def _lose(frames: Frames, lost: Tensor) -> Frames:
    """Set the rays `lost`, (B, H, W) or (W,) for whole beams, to no return."""
    return frames._replace(depth=frames.depth.masked_fill(lost, NO_RETURN))


def _colours(frames: Frames) -> Tensor:
    """Return R, G, B as (B, H, W, 3) float64 in [0, 255]: a GPU's TF32 or bfloat16 would round to other bytes."""
    return frames.rgb[..., :3].double()


def _paint(frames: Frames, colours: Tensor) -> Frames:
    """Replace the colours of the frames by `colours` (B, H, W, 3), rounded and clamped to bytes; alpha stays."""
    painted = colours.round().clamp(0, 255).to(torch.uint8)
    return frames._replace(rgb=torch.cat([painted, frames.rgb[..., 3:]], dim=-1))  # (B, H, W, 4)

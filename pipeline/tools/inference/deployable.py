"""Trained nets with their preprocessing inside: raw sensor values in, logits out."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from pipeline.core.checkpoints import load_checkpoint, restore
from pipeline.core.errors import PipelineError
from pipeline.data.arrays import to_image_tensor
from pipeline.data.geometry import ray_directions, xyza
from pipeline.tools.inference.builders import BUILDERS


class RgbModule(nn.Module):
    """Classify RGB images."""

    def __init__(self, net: nn.Module) -> None:
        super().__init__()
        self.net = net

    def forward(self, rgb: Tensor) -> Tensor:
        """Return logits, above 0 for a sphere: (B, 64, 64, 4) uint8 RGBA as in a PNG file -> (B,)."""
        return self.net(to_image_tensor(rgb))


class LidarModule(nn.Module):
    """Classify LiDAR depth maps."""

    def __init__(self, net: nn.Module) -> None:
        super().__init__()
        self.net = net

    def forward(self, depth: Tensor) -> Tensor:
        """Return logits, above 0 for a sphere: (B, 64, 64) float32 ranges, 50 = no return -> (B,)."""
        return self.net(depth.unsqueeze(1))


class PairModule(nn.Module):
    """Classify pairs by a fusion net; `rays` (3, H, W) are the directions of the sensor on which it was trained."""

    def __init__(self, net: nn.Module, rays: Tensor) -> None:
        super().__init__()
        self.net = net
        self.rays: Tensor
        self.register_buffer("rays", rays)

    def forward(self, rgb: Tensor, depth: Tensor) -> Tensor:
        """Return logits, above 0 for a sphere: (B, 64, 64, 4) uint8 RGBA, (B, 64, 64) float32 ranges -> (B,)."""
        return self.net(to_image_tensor(rgb), xyza(depth, self.rays))


@dataclass(frozen=True)
class Deployable:
    """A net ready for use and the inputs that it takes."""

    module: nn.Module
    sensors: tuple[str, ...]  # the arguments of `module`, in order, by the names of their raw folders
    about: dict[str, Any]  # the description in the checkpoint


def load_deployable(path: Path, device: torch.device) -> Deployable:
    """Load a net that predicts classes from its checkpoint; raises PipelineError if the file holds none."""
    if not path.is_file():
        raise PipelineError(f"{path}: found no file; expected one such as runs/lidar/models/seed0.safetensors")
    about = load_checkpoint(path)[1]
    kind = about.get("kind")
    if kind not in BUILDERS:
        raise PipelineError(
            f"{path}: found a net of kind {kind}, which predicts no class; "
            "expected one of runs/fusion/*, runs/lidar or runs/classify/*"
        )
    net = restore(path, kind, BUILDERS[kind], device)
    if kind == "classify":
        return Deployable(RgbModule(net), ("rgb",), about)
    if kind == "lidar":
        return Deployable(LidarModule(net), ("lidar",), about)
    if "angles" not in about:
        raise PipelineError(f"{path}: found a fusion net without the angles of its sensor; train it again")
    angles = {name: torch.tensor(values) for name, values in about["angles"].items()}
    return Deployable(PairModule(net, ray_directions(**angles)).to(device), ("rgb", "lidar"), about)

"""Trained fusion nets under sensor faults: what is shown to them, and what they say."""

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor, nn

from pipeline import device as machine
from pipeline.data.arrays import LOOK, Arrays, picture
from pipeline.data.degrade import FAULTS, MISSING, Frames, other_scene, other_shape
from pipeline.data.geometry import xyza
from pipeline.models.fusion import FusionNet

CLEAN = "clean"
MISMATCHES = {"other_scene": other_scene, "other_shape": other_shape}  # whose LiDAR lies beside a picture
Condition = tuple[str, float | None]  # a fault and its severity, None where it has none


def conditions(
    data: Arrays, twins: Tensor, faults: Mapping[str, Sequence[float]], seed: int
) -> dict[Condition, Frames]:
    """What is shown of the scenes `twins` (S, 2): as they are, under every fault, with a sensor gone, mismatched.

    Each severity draws the same noise, scaled, so that nothing but the severity changes.
    """
    rows = twins.flatten()
    clean = Frames(data.rgb[rows], data.depth[rows])
    shown: dict[Condition, Frames] = {(CLEAN, None): clean}
    for fault, severities in faults.items():
        for severity in severities:
            shown[fault, severity] = FAULTS[fault](clean, severity, machine.generator(seed))
    shown |= {(fault, None): hide(clean) for fault, hide in MISSING.items()}
    for fault, swap in MISMATCHES.items():
        shown[fault, None] = clean._replace(depth=data.depth[swap(twins).flatten()])
    return shown


def answers(net: FusionNet, shown: Mapping[Condition, Frames], rays: Tensor) -> Tensor:
    """Logits (conditions, N) of one net; a branch looks again only where its own sensor has changed."""
    clean = shown[CLEAN, None]
    with torch.inference_mode(), machine.autocast(rays.device):
        rgb, lidar = _look(net.rgb, picture(clean.rgb)), _look(net.lidar, xyza(clean.depth, rays))
        said = []
        for frames in shown.values():
            seen = rgb if frames.rgb is clean.rgb else _look(net.rgb, picture(frames.rgb))
            felt = lidar if frames.depth is clean.depth else _look(net.lidar, xyza(frames.depth, rays))
            both = zip(seen.split(LOOK), felt.split(LOOK), strict=True)
            said.append(torch.cat([net.head(net.fuse(*parts)).squeeze(1) for parts in both]).float().cpu())
    return torch.stack(said)


def _look(branch: nn.Module, values: Tensor) -> Tensor:
    """(N, C, H, W) -> what a branch makes of it, in the batches of every other evaluation."""
    return torch.cat([branch(part) for part in values.split(LOOK)])

"""Trained fusion nets under sensor faults: what is shown to them, and what they say."""

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor, nn

from pipeline.core.device import autocast, make_generator
from pipeline.data.arrays import EVAL_BATCH_SIZE, Arrays, to_image_tensor
from pipeline.data.geometry import xyza
from pipeline.evaluation.corruptions import CORRUPTIONS, MISSING_SENSORS, Frames, mismatched_scene, mismatched_shape
from pipeline.models.fusion import FusionNet

CLEAN = "clean"
MISMATCHES = {"other_scene": mismatched_scene, "other_shape": mismatched_shape}  # whose LiDAR lies beside a picture
Condition = tuple[str, float | None]  # a fault and its severity, None where it has none


def build_conditions(
    data: Arrays, scene_pairs: Tensor, faults: Mapping[str, Sequence[float]], seed: int
) -> dict[Condition, Frames]:
    """What is shown of the scenes `scene_pairs` (S, 2): as they are, under every fault, with a sensor gone, mismatched.

    Each severity draws the same noise, scaled, so that nothing but the severity changes.
    """
    rows = scene_pairs.flatten()
    clean = Frames(data.rgb[rows], data.depth[rows])
    shown: dict[Condition, Frames] = {(CLEAN, None): clean}
    for fault, severities in faults.items():
        for severity in severities:
            shown[fault, severity] = CORRUPTIONS[fault](clean, severity, make_generator(seed))
    shown |= {(fault, None): hide(clean) for fault, hide in MISSING_SENSORS.items()}
    for fault, swap in MISMATCHES.items():
        shown[fault, None] = clean._replace(depth=data.depth[swap(scene_pairs).flatten()])
    return shown


def condition_logits(net: FusionNet, shown: Mapping[Condition, Frames], rays: Tensor) -> Tensor:
    """Logits (conditions, N) of one net; a branch looks again only where its own sensor has changed."""
    clean = shown[CLEAN, None]
    with torch.inference_mode(), autocast(rays.device):
        rgb, lidar = _look(net.rgb, to_image_tensor(clean.rgb)), _look(net.lidar, xyza(clean.depth, rays))
        said = []
        for frames in shown.values():
            seen = rgb if frames.rgb is clean.rgb else _look(net.rgb, to_image_tensor(frames.rgb))
            felt = lidar if frames.depth is clean.depth else _look(net.lidar, xyza(frames.depth, rays))
            both = zip(seen.split(EVAL_BATCH_SIZE), felt.split(EVAL_BATCH_SIZE), strict=True)
            said.append(torch.cat([net.head(net.fuse(*parts)).squeeze(1) for parts in both]).float().cpu())
    return torch.stack(said)


def _look(branch: nn.Module, values: Tensor) -> Tensor:
    """(N, C, H, W) -> what a branch makes of it, in the batches of every other evaluation."""
    return torch.cat([branch(part) for part in values.split(EVAL_BATCH_SIZE)])

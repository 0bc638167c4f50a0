"""Trained fusion nets under sensor faults: the corrupted pairs, and the logits of a net for them."""

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor, nn

from pipeline.core.device import autocast, make_generator
from pipeline.data.arrays import EVAL_BATCH_SIZE, Arrays, to_image_tensor
from pipeline.data.geometry import xyza
from pipeline.evaluation.corruptions import CORRUPTIONS, MISSING_SENSORS, Frames, mismatched_scene, mismatched_shape
from pipeline.models.fusion import FusionNet

CLEAN = "clean"
MISMATCHES = {"other_scene": mismatched_scene, "other_shape": mismatched_shape}  # whose LiDAR joins a picture
Condition = tuple[str, float | None]  # a fault and its severity, None where it has none


def build_conditions(
    data: Arrays, scene_pairs: Tensor, faults: Mapping[str, Sequence[float]], seed: int
) -> dict[Condition, Frames]:
    """Return the scenes `scene_pairs` (S, 2) clean, under every fault, without a sensor, and mismatched.

    Each severity draws equal noise, scaled, so that nothing but the severity changes.
    """
    rows = scene_pairs.flatten()
    clean = Frames(data.rgb[rows], data.depth[rows])
    conditions: dict[Condition, Frames] = {(CLEAN, None): clean}
    for fault, severities in faults.items():
        for severity in severities:
            conditions[fault, severity] = CORRUPTIONS[fault](clean, severity, make_generator(seed))
    conditions |= {(fault, None): remove(clean) for fault, remove in MISSING_SENSORS.items()}
    for fault, mismatch in MISMATCHES.items():
        conditions[fault, None] = clean._replace(depth=data.depth[mismatch(scene_pairs).flatten()])
    return conditions


def condition_logits(net: FusionNet, conditions: Mapping[Condition, Frames], rays: Tensor) -> Tensor:
    """Return logits (conditions, N) of one net; an encoder runs anew only where its own sensor has changed."""
    clean = conditions[CLEAN, None]
    with torch.inference_mode(), autocast(rays.device):
        clean_rgb = _encode(net.rgb, to_image_tensor(clean.rgb))
        clean_lidar = _encode(net.lidar, xyza(clean.depth, rays))
        logits = []
        for frames in conditions.values():
            rgb, lidar = clean_rgb, clean_lidar
            if frames.rgb is not clean.rgb:
                rgb = _encode(net.rgb, to_image_tensor(frames.rgb))
            if frames.depth is not clean.depth:
                lidar = _encode(net.lidar, xyza(frames.depth, rays))
            batches = zip(rgb.split(EVAL_BATCH_SIZE), lidar.split(EVAL_BATCH_SIZE), strict=True)
            logits.append(torch.cat([net.classify_features(*batch) for batch in batches]).float().cpu())
    return torch.stack(logits)


def _encode(encoder: nn.Module, values: Tensor) -> Tensor:
    """Return the features of (N, C, H, W), computed in the batches of every other evaluation."""
    return torch.cat([encoder(batch) for batch in values.split(EVAL_BATCH_SIZE)])

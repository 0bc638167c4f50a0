"""Checkpoints of small untrained nets of every kind, as the stages write them."""

from pathlib import Path

import torch

from pipeline.core.checkpoints import save_checkpoints
from pipeline.core.device import build_seeded
from pipeline.core.runs import checkpoint_path
from pipeline.data.arrays import Arrays, Batches
from pipeline.metrics.inference import input_logits, lidar_logits, pair_logits
from pipeline.models.cilp import CILP, CrossModalClassifier, LidarClassifier, ProjectedClassifier, build_projector
from pipeline.models.fusion import build_fusion

STANDARD = {"depth_mean": 24.0, "depth_std": 3.0}
CILP_NET = {"channels": [2, 3], "hidden_dims": [4], "embed_dim": 5, "temperature": 0.07, "norm": "batch"} | STANDARD
PROJECT_NET = {"embed_dim": 5, "hidden_dims": [6], "target_dim": 3 * 16 * 16}
LIDAR_NET = {"channels": [2, 3], "head_dims": [4]} | STANDARD
FUSION_NET = {
    "fusion": "add",
    "downsample": "maxpool",
    "widths": {"channels": [4], "shared_channels": [4], "head_dims": [4]},
} | STANDARD
LOGITS = {  # kind -> logits (N,) of every pair
    "fusion": lambda net, data: pair_logits(net, Batches(data.with_xyza, data.all_rows)),
    "lidar": lambda net, data: lidar_logits(net, Batches(data.with_depth, data.all_rows)),
    "classify": lambda net, data: input_logits(net, Batches(data.with_label, data.all_rows)),
}


def rgb_to_lidar() -> CrossModalClassifier:
    lidar = LidarClassifier(**LIDAR_NET)
    return CrossModalClassifier(
        CILP(**CILP_NET).rgb, ProjectedClassifier(build_projector(**PROJECT_NET), lidar.classifier)
    )


def write_checkpoints(folder: Path, data: Arrays, rescale: bool) -> dict[str, Path]:
    """Write one untrained net a kind, as the stages save them; return kind -> path.

    With `rescale` a net's logits on the data have mean 0 and deviation 3.
    """
    nets = {
        "fusion": (lambda: build_fusion(**FUSION_NET), FUSION_NET, {"angles": data.angles}),
        "lidar": (lambda: LidarClassifier(**LIDAR_NET), LIDAR_NET, {}),
        "classify": (rgb_to_lidar, {"cilp": CILP_NET, "project": PROJECT_NET, "lidar": LIDAR_NET}, {}),
        "cilp": (lambda: CILP(**CILP_NET), CILP_NET, {}),
    }
    for kind, (build, net, extra) in nets.items():
        model = build_seeded(3, build).eval()
        if rescale and kind in LOGITS:
            rescale_logits(model, LOGITS[kind](model, data))
        save_checkpoints(folder / kind, {0: model}, {"kind": kind, "net": net} | extra)
    return {kind: checkpoint_path(folder / kind, 0) for kind in nets}


def rescale_logits(model: torch.nn.Module, logits: torch.Tensor) -> None:
    """Give an untrained net logits of mean 0 and deviation 3: both classes occur, and swapped files differ."""
    last = [layer for layer in model.modules() if isinstance(layer, torch.nn.Linear)][-1]
    last.bias.data = 3 * (last.bias.data - logits.mean()) / logits.std()
    last.weight.data *= 3 / logits.std()

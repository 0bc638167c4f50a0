"""A checkpoint file becomes its trained net again."""

from collections.abc import Callable
from pathlib import Path

import torch
from torch import nn

from pipeline.artifacts import load_checkpoint
from pipeline.errors import PipelineError
from pipeline.models.cilp import CILP, FromEmbedding, LidarClassifier, RgbToLidar, build_projector
from pipeline.models.fusion import build_fusion


def _rgb_to_lidar(cilp: dict, project: dict, lidar: dict) -> RgbToLidar:
    return RgbToLidar(CILP(**cilp).rgb, FromEmbedding(build_projector(**project), LidarClassifier(**lidar).classifier))


BUILDERS: dict[str, Callable[..., nn.Module]] = {
    "fusion": build_fusion,
    "lidar": LidarClassifier,
    "cilp": CILP,
    "project": build_projector,
    "classify": _rgb_to_lidar,
}


def restore(path: Path, kind: str, device: torch.device) -> nn.Module:
    """The trained net of a checkpoint, ready to predict; raises PipelineError if it holds none of that kind."""
    weights, about = load_checkpoint(path)
    if about.get("kind") != kind:
        raise PipelineError(f"{path}: found a net of kind {about.get('kind')}, expected {kind}; run `dvc repro`")
    try:
        model = BUILDERS[kind](**about["net"])
        model.load_state_dict(weights)
    except (KeyError, TypeError, RuntimeError) as error:
        raise PipelineError(f"{path}: weights do not fit the net it names ({error}); run `dvc repro`") from None
    return model.to(device, memory_format=torch.channels_last).eval()

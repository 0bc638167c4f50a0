"""The single inference path: a checkpoint becomes its net, and the net says what it sees in batches."""

from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from pipeline import device as machine
from pipeline.artifacts import load_checkpoint
from pipeline.data.arrays import Batch
from pipeline.errors import PipelineError
from pipeline.models.cilp import CILP, LidarClassifier, RgbToLidar, build_projector
from pipeline.models.fusion import build_fusion


def _rgb_to_lidar(cilp: dict, project: dict, lidar: dict) -> RgbToLidar:
    return RgbToLidar(CILP(**cilp).rgb, build_projector(**project), LidarClassifier(**lidar).classifier)


BUILDERS: dict[str, Callable[..., nn.Module]] = {
    "fusion": build_fusion,
    "lidar": LidarClassifier,
    "cilp": CILP,
    "project": build_projector,
    "classify": _rgb_to_lidar,
}


def restore(path: Path, device: torch.device) -> nn.Module:
    """The trained net of a checkpoint, ready to predict; raises PipelineError if the file does not hold one."""
    weights, about = load_checkpoint(path)
    try:
        model = BUILDERS[about["kind"]](**about["net"])
        model.load_state_dict(weights)
    except (KeyError, TypeError, RuntimeError) as error:
        raise PipelineError(f"{path}: weights do not fit the net it names ({error}); run `dvc repro`") from None
    return model.to(device, memory_format=torch.channels_last).eval()


def outputs(forward: Callable[[Any], Tensor], batches: Iterable[Any]) -> Tensor:
    """`forward(batch)` of every batch, stacked, float32 on the CPU; no gradients, the precision of training."""
    parts = []
    with torch.inference_mode():
        for batch in batches:
            with machine.autocast(batch[0].device):
                parts.append(forward(batch).float().cpu())
    return torch.cat(parts)


def pair_logits(model: nn.Module, batches: Iterable[Batch]) -> Tensor:
    """Logits (N,) of a net that sees both modalities."""
    return outputs(lambda batch: model(batch.rgb, batch.lidar), batches)


def lidar_logits(model: nn.Module, batches: Iterable[Batch]) -> Tensor:
    """Logits (N,) of a net that sees LiDAR alone."""
    return outputs(lambda batch: model(batch.lidar), batches)


def rgb_logits(model: nn.Module, batches: Iterable[Batch]) -> Tensor:
    """Logits (N,) of a net that sees RGB alone."""
    return outputs(lambda batch: model(batch.rgb), batches)


def embeddings(model: CILP, batches: Iterable[Batch]) -> tuple[Tensor, Tensor]:
    """Unit rows (N, D) of both modalities."""
    both = outputs(lambda batch: torch.stack(model(batch.rgb, batch.lidar), dim=1), batches)  # (N, 2, D)
    return both[:, 0], both[:, 1]

"""The single inference path: a net, batches, and what it says of them."""

from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch import Tensor, nn

from pipeline.core.device import autocast
from pipeline.data.arrays import Batch, Examples


def collect_outputs(forward: Callable[[Any], Tensor], batches: Iterable[Any]) -> Tensor:
    """`forward(batch)` of every batch, stacked, float32 on the CPU; no gradients, the precision of training."""
    parts = []
    with torch.inference_mode():
        for batch in batches:
            with autocast(batch[0].device):
                parts.append(forward(batch).float().cpu())
    return torch.cat(parts)


def pair_logits(model: nn.Module, batches: Iterable[Batch]) -> Tensor:
    """Logits (N,) of a net that sees both modalities."""
    return collect_outputs(lambda batch: model(batch.rgb, batch.lidar), batches)


def lidar_logits(model: nn.Module, batches: Iterable[Batch]) -> Tensor:
    """Logits (N,) of a net that sees LiDAR alone."""
    return collect_outputs(lambda batch: model(batch.lidar), batches)


def input_logits(model: nn.Module, batches: Iterable[Examples]) -> Tensor:
    """Logits (N,) of a net that sees one input: pictures, or what a frozen embedder said of them."""
    return collect_outputs(lambda batch: model(batch.inputs), batches)


def pair_embeddings(model: nn.Module, batches: Iterable[Batch]) -> tuple[Tensor, Tensor]:
    """Unit rows (N, D) of both modalities."""
    both = collect_outputs(lambda batch: torch.stack(model(batch.rgb, batch.lidar), dim=1), batches)  # (N, 2, D)
    return both[:, 0], both[:, 1]

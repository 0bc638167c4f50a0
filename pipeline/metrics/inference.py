"""The one inference loop: a net, batches, and its outputs. N samples, D embedding."""

from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch import Tensor, nn

from pipeline.core.device import autocast
from pipeline.data.arrays import Batch, Examples


def collect_outputs(forward: Callable[[Any], Tensor], batches: Iterable[Any]) -> Tensor:
    """Return `forward(batch)` of every batch, concatenated, float32 on the CPU.

    Computes no gradients, in the precision of training.
    """
    outputs = []
    with torch.inference_mode():
        for batch in batches:
            with autocast(batch[0].device):
                outputs.append(forward(batch).float().cpu())
    return torch.cat(outputs)


def pair_logits(model: nn.Module, batches: Iterable[Batch]) -> Tensor:
    """Return logits (N,) of a net that sees both sensors."""
    return collect_outputs(lambda batch: model(batch.rgb, batch.lidar), batches)


def lidar_logits(model: nn.Module, batches: Iterable[Batch]) -> Tensor:
    """Return logits (N,) of a net that sees LiDAR alone."""
    return collect_outputs(lambda batch: model(batch.lidar), batches)


def input_logits(model: nn.Module, batches: Iterable[Examples]) -> Tensor:
    """Return logits (N,) of a net that sees one input: pictures or embeddings."""
    return collect_outputs(lambda batch: model(batch.inputs), batches)


def pair_embeddings(model: nn.Module, batches: Iterable[Batch]) -> tuple[Tensor, Tensor]:
    """Return the embeddings of both sensors: RGB (N, D) and LiDAR (N, D), unit rows."""
    both = collect_outputs(lambda batch: torch.stack(model(batch.rgb, batch.lidar), dim=1), batches)  # (N, 2, D)
    return both[:, 0], both[:, 1]

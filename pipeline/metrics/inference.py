"""The one inference loop: a net, batches, and its outputs. N samples, D embedding."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from pipeline.core.device import autocast
from pipeline.core.files import map_rows
from pipeline.data.arrays import Batch, Batches, Examples


def collect_outputs(forward: Callable[[Any], Tensor], batches: Batches | Sequence[Any]) -> Tensor:
    """Return `forward(batch)` of every batch, concatenated, float32 on the CPU; the first batch is the largest.

    Computes no gradients, in the precision of training.
    """
    # one block for all outputs: small tensors, left between the freed ones of each batch, would scatter the heap, by
    # up to 400 MB in an evaluation of 20,000 pairs
    block, count = torch.empty(0), 0
    for outputs in _compute_outputs(forward, batches):
        if not count:
            block = torch.empty(len(batches) * len(outputs), *outputs.shape[1:])
        block[count : count + len(outputs)] = outputs
        count += len(outputs)
    return block[:count]


def store_outputs(forward: Callable[[Any], Tensor], batches: Iterable[Any], folder: Path) -> Tensor:
    """Return what `collect_outputs` does, mapped from an unnamed file in `folder`: large outputs take disk, not memory.

    The file ends with the tensor. Raises PipelineError if the disk is full.
    """
    return torch.from_numpy(map_rows(folder, (each.numpy() for each in _compute_outputs(forward, batches))))


def _compute_outputs(forward: Callable[[Any], Tensor], batches: Iterable[Any]) -> Iterator[Tensor]:
    for batch in batches:
        with torch.inference_mode(), autocast(batch[0].device):
            outputs = forward(batch).float().cpu()
        yield outputs


def pair_logits(model: nn.Module, batches: Batches | Sequence[Batch]) -> Tensor:
    """Return logits (N,) of a net that sees both sensors."""
    return collect_outputs(lambda batch: model(batch.rgb, batch.lidar), batches)


def lidar_logits(model: nn.Module, batches: Batches | Sequence[Batch]) -> Tensor:
    """Return logits (N,) of a net that sees LiDAR alone."""
    return collect_outputs(lambda batch: model(batch.lidar), batches)


def input_logits(model: nn.Module, batches: Batches | Sequence[Examples]) -> Tensor:
    """Return logits (N,) of a net that sees one input: pictures or embeddings."""
    return collect_outputs(lambda batch: model(batch.inputs), batches)


def pair_embeddings(model: nn.Module, batches: Batches | Sequence[Batch]) -> tuple[Tensor, Tensor]:
    """Return the embeddings of both sensors: RGB (N, D) and LiDAR (N, D), unit rows."""
    both = collect_outputs(lambda batch: torch.stack(model(batch.rgb, batch.lidar), dim=1), batches)  # (N, 2, D)
    return both[:, 0], both[:, 1]

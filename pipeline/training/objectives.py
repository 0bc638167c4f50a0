"""Objectives: `objective(model, batch) -> (loss, outputs)`, the only thing in which the trainings here differ.

The loss is a scalar to minimise; the outputs are those of the model, for metrics of the training batches.
"""

from collections.abc import Iterator
from typing import Protocol

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.utils.checkpoint import checkpoint

from pipeline.data.arrays import Batch, Examples
from pipeline.metrics.contrastive import clip_loss

MAX_EMBEDDED = 4096  # pairs embedded at a time, where embeddings do not depend on the rest of the batch


class ContrastiveNet(Protocol):
    """A net of two embedders and a temperature, such as CILP."""

    @property
    def logit_scale(self) -> Tensor: ...

    def modules(self) -> Iterator[nn.Module]: ...

    def __call__(self, rgb: Tensor, lidar: Tensor) -> tuple[Tensor, Tensor]: ...


def pair_objective(model: nn.Module, batch: Batch) -> tuple[Tensor, Tensor]:
    """Return binary cross-entropy and logits (B,) of a net that sees both sensors."""
    return _classification(model(batch.rgb, batch.lidar), batch.label)


def lidar_objective(model: nn.Module, batch: Batch) -> tuple[Tensor, Tensor]:
    """Return binary cross-entropy and logits (B,) of a net that sees LiDAR alone."""
    return _classification(model(batch.lidar), batch.label)


def label_objective(model: nn.Module, batch: Examples) -> tuple[Tensor, Tensor]:
    """Return binary cross-entropy and logits (B,) of a net that sees one input: pictures or embeddings."""
    return _classification(model(batch.inputs), batch.targets)


def projection_objective(model: nn.Module, batch: Examples) -> tuple[Tensor, Tensor]:
    """Return the mean squared error over all values of the target features, and the projections (B, F)."""
    outputs = model(batch.inputs).float()
    return F.mse_loss(outputs, batch.targets), outputs


def contrastive_objective(model: ContrastiveNet, batch: Batch) -> tuple[Tensor, tuple[Tensor, Tensor]]:
    """Return the CLIP loss of the pairs in the batch at the model's temperature, and both embeddings (B, D)."""
    rgb, lidar = embed_pairs(model, batch.rgb, batch.lidar)
    return clip_loss(rgb, lidar, model.logit_scale), (rgb, lidar)


def embed_pairs(model: ContrastiveNet, rgb: Tensor, lidar: Tensor) -> tuple[Tensor, Tensor]:
    """Return both embeddings (B, D) of pictures (B, 4, H, W) and depth (B, 1, H, W).

    Over MAX_EMBEDDED pairs are embedded in chunks, and once more for their gradient, so that the activations of one
    chunk are held at a time. A net with batch normalization embeds all pairs at once: it needs the whole batch.
    """
    if len(rgb) <= MAX_EMBEDDED or any(isinstance(module, nn.BatchNorm2d) for module in model.modules()):
        return model(rgb, lidar)
    chunks = [
        checkpoint(model, *chunk, use_reentrant=False, preserve_rng_state=False)
        for chunk in zip(rgb.split(MAX_EMBEDDED), lidar.split(MAX_EMBEDDED), strict=True)
    ]
    return torch.cat([chunk[0] for chunk in chunks]), torch.cat([chunk[1] for chunk in chunks])


def _classification(logits: Tensor, label: Tensor) -> tuple[Tensor, Tensor]:
    logits = logits.float()
    return F.binary_cross_entropy_with_logits(logits, label), logits

"""Objectives: `loss(model, batch) -> scalar`, the only thing in which the trainings of this project differ."""

from torch import Tensor, nn
from torch.nn import functional as F

from pipeline.data.arrays import Batch, Examples
from pipeline.metrics.contrastive import clip_loss


def pair_objective(model: nn.Module, batch: Batch) -> Tensor:
    """Binary cross-entropy of a net that sees both modalities."""
    return F.binary_cross_entropy_with_logits(model(batch.rgb, batch.lidar).float(), batch.label)


def lidar_objective(model: nn.Module, batch: Batch) -> Tensor:
    """Binary cross-entropy of a net that sees LiDAR alone."""
    return F.binary_cross_entropy_with_logits(model(batch.lidar).float(), batch.label)


def label_objective(model: nn.Module, batch: Examples) -> Tensor:
    """Binary cross-entropy of a net that sees pictures, or what a frozen embedder said of them."""
    return F.binary_cross_entropy_with_logits(model(batch.inputs).float(), batch.target)


def projection_objective(model: nn.Module, batch: Examples) -> Tensor:
    """Mean squared error over all values of the target features."""
    return F.mse_loss(model(batch.inputs).float(), batch.target)


def contrastive_objective(model: nn.Module, batch: Batch) -> Tensor:
    """Symmetric cross-entropy of the pairs in the batch, at the model's learned temperature."""
    return clip_loss(*model(batch.rgb, batch.lidar), model.logit_scale)

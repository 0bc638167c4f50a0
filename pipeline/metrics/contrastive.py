"""The contrastive loss on embeddings: a pure function, shared by the objective and the metrics."""

import torch
from torch import Tensor
from torch.nn import functional as F


def clip_loss(rgb: Tensor, lidar: Tensor, scale: Tensor | float) -> Tensor:
    """Return the mean cross-entropy of "which LiDAR belongs to this RGB" and the reverse (CLIP, Radford et al. 2021).

    rgb, lidar: (B, D) unit rows; row i of both belongs to pair i. `scale` is 1 / temperature. Chance is ln B.
    """
    with torch.autocast(rgb.device.type, enabled=False):  # bfloat16 would round logits near 100 by half a unit
        logits = scale * rgb @ lidar.T  # (B, B), row = RGB, column = LiDAR
    pairs = torch.arange(len(logits), device=logits.device)
    return (F.cross_entropy(logits, pairs) + F.cross_entropy(logits.T, pairs)) / 2

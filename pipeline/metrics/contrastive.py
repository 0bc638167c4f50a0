"""The contrastive objective on embeddings: a pure function, apart from any net."""

import torch
from torch import Tensor
from torch.nn import functional as F


def clip_loss(rgb: Tensor, lidar: Tensor, scale: Tensor | float) -> Tensor:
    """Mean of "which LiDAR belongs to this RGB" and the reverse (CLIP, Radford et al. 2021).

    rgb, lidar: (B, D) unit rows, row i of one belongs to row i of the other. Chance is ln B.
    """
    with torch.autocast(rgb.device.type, enabled=False):  # bfloat16 would round logits near 100 by half a unit
        logits = scale * rgb @ lidar.T  # (B, B), row = RGB, column = LiDAR
    pairs = torch.arange(len(logits), device=logits.device)
    return (F.cross_entropy(logits, pairs) + F.cross_entropy(logits.T, pairs)) / 2

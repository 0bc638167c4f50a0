"""The contrastive loss on embeddings: pure functions, shared by the objective and the metrics."""

import torch
from torch import Tensor
from torch.nn import functional as F
from torch.utils.checkpoint import checkpoint

MAX_LOGITS = 2**24  # held at a time: 4,096 by 4,096, which are 64 MB and with their gradients several times as much


def clip_loss(rgb: Tensor, lidar: Tensor, scale: Tensor | float) -> Tensor:
    """Return the mean cross-entropy of "which LiDAR belongs to this RGB" and the reverse (CLIP, Radford et al. 2021).

    rgb, lidar: (B, D) unit rows; row i of both belongs to pair i. `scale` is 1 / temperature. Chance is ln B.
    Over MAX_LOGITS logits are computed in chunks, and once more for their gradient.
    """
    if len(rgb) ** 2 > MAX_LOGITS:
        return (retrieval_loss(rgb, lidar, scale) + retrieval_loss(lidar, rgb, scale)) / (2 * len(rgb))
    with torch.autocast(rgb.device.type, enabled=False):  # bfloat16 would round logits near 100 by half a unit
        logits = scale * rgb @ lidar.T  # (B, B), row = RGB, column = LiDAR
    pairs = torch.arange(len(logits), device=logits.device)
    return (F.cross_entropy(logits, pairs) + F.cross_entropy(logits.T, pairs)) / 2


def retrieval_loss(queries: Tensor, keys: Tensor, scale: Tensor | float, first: int = 0) -> Tensor:
    """Return the sum of the cross-entropies of "which key belongs to this query": one direction of the CLIP loss.

    Unit rows: queries (Q, D), keys (B, D); query i belongs to key `first` + i. At most MAX_LOGITS logits are in memory.
    """
    losses = []
    for rows in chunk_rows(len(queries), len(keys)):
        part, place = queries[rows], first + rows.start
        # the logits of a chunk are computed again for the gradient, so that those of one chunk are held at a time
        losses.append(checkpoint(_chunk_loss, part, keys, scale, place, use_reentrant=False, preserve_rng_state=False))
    return torch.stack(losses).sum()


def chunk_rows(rows: int, columns: int) -> list[slice]:
    """Return slices of the rows of a matrix, each of at most MAX_LOGITS values; no rows are one empty slice."""
    size = max(1, MAX_LOGITS // columns)
    return [slice(start, min(start + size, rows)) for start in range(0, max(1, rows), size)]


def _chunk_loss(queries: Tensor, keys: Tensor, scale: Tensor | float, first: int) -> Tensor:
    with torch.autocast(queries.device.type, enabled=False):
        logits = scale * queries @ keys.T  # (Q, B)
    own = torch.arange(first, first + len(queries), device=queries.device)
    return F.cross_entropy(logits, own, reduction="sum")

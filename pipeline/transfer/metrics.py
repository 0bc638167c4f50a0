"""Metrics of embeddings and projections. Pure functions of tensors; N samples, D embedding, F features."""

from collections.abc import Iterable
from math import exp, log, log1p

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from pipeline.core.errors import PipelineError
from pipeline.data.arrays import EVAL_BATCH_SIZE
from pipeline.metrics.classification import Metrics
from pipeline.metrics.contrastive import chunk_rows, clip_loss

CHUNK_PAIRS = 64 * EVAL_BATCH_SIZE  # whose features are in memory at a time: 52 MB at the default widths


def retrieval_ranks(queries: Tensor, keys: Tensor) -> Tensor:
    """Return the rank (N,) of key i for query i by dot product, 0 = first; (N, D) queries and keys.

    A tie counts against the key.
    """
    ranks = []
    for rows in chunk_rows(len(queries), len(keys)):
        similarity = queries[rows] @ keys.T  # (n, N)
        own = similarity.diagonal(rows.start).unsqueeze(1)
        ranks.append((similarity >= own).sum(dim=1) - 1)
    return torch.cat(ranks)


def retrieval_metrics(rgb: Tensor, lidar: Tensor) -> Metrics:
    """Return top-1 and top-5 retrieval and the mean rank among all N, of RGB and LiDAR embeddings (N, D), unit rows.

    `mean_rank` counts from 1. `reverse` retrieves RGB by LiDAR. Chance is 1/N, 5/N and (N + 1)/2.
    """
    forward, reverse = retrieval_ranks(rgb, lidar), retrieval_ranks(lidar, rgb)
    return {
        "top1": _share(forward < 1),
        "top5": _share(forward < 5),
        "mean_rank": float(forward.double().mean()) + 1,
        "top1_reverse": _share(reverse < 1),
        "top5_reverse": _share(reverse < 5),
        "mean_rank_reverse": float(reverse.double().mean()) + 1,
        "chance_top1": 1 / len(rgb),
        "chance_top5": min(1.0, 5 / len(rgb)),
        "chance_mean_rank": (len(rgb) + 1) / 2,
    }


def alignment_uniformity(rgb: Tensor, lidar: Tensor) -> Metrics:
    """Return alignment and uniformity (Wang and Isola 2020) of embeddings (N, D), unit rows, with alignment's chance.

    Alignment is the mean squared distance within true pairs, 0 at best; its chance is that of all other pairs.
    Uniformity is the log mean of exp(-2 d^2) over all pairs of one sensor: 0 = all alike, near -4 = evenly spread.
    """
    total, own_parts = torch.zeros((), dtype=torch.float64), []
    for rows in chunk_rows(len(rgb), len(lidar)):
        distance = (rgb[rows] @ lidar.T).double().mul_(-2).add_(2)  # (n, N), squared, of unit vectors
        total += distance.sum()
        own_parts.append(distance.diagonal(rows.start).clone())  # a view would keep the chunk
        del distance  # before the next one: 128 MB
    own = torch.cat(own_parts)
    return {
        "alignment": float(own.mean()),
        "chance_alignment": float((total - own.sum()) / max(1, len(rgb) * len(lidar) - len(own))),
        "uniformity_rgb": _uniformity(rgb),
        "uniformity_lidar": _uniformity(lidar),
    }


def contrastive_metrics(rgb: Tensor, lidar: Tensor, scale: float, batch_size: int) -> Metrics:
    """Return the CLIP loss of embeddings (N, D), unit rows, in batches of `batch_size`, with its chance and floor.

    Chance is ln B: nothing is known. The floor is ln(1 + (B - 1) exp(-scale B / (B - 1))): B unit vectors cannot all
    point apart, so at best a pair's similarity is 1 and that of all others -1 / (B - 1). Of uneven batches, the means.
    """
    parts = list(zip(rgb.split(batch_size), lidar.split(batch_size), strict=True))
    sizes = [len(part) for part, _ in parts]

    def mean(values: list[float]) -> float:
        return sum(value * size for value, size in zip(values, sizes, strict=True)) / len(rgb)

    return {
        "loss": mean([float(clip_loss(a, b, scale)) for a, b in parts]),
        "chance_loss": mean([log(size) for size in sizes]),
        "floor_loss": mean([log1p((size - 1) * exp(-scale * size / max(1, size - 1))) for size in sizes]),
    }


def projection_metrics(chunks: Iterable[tuple[Tensor, Tensor]], train_mean: Tensor) -> Metrics:
    """Return mean squared error, R2 and cosine similarity of projections against features, given chunk by chunk.

    A chunk is both of some pairs, (n, F) and (n, F). The baseline of each metric is the mean (F,) of the training
    targets: features after a ReLU all point roughly one way, so that even the mean has a high cosine. Raises
    PipelineError if all features are equal.
    """
    sizes, means = [], []
    for projected, target in chunks:
        mean = train_mean.expand_as(target)
        errors = F.mse_loss(projected, target), F.mse_loss(mean, target)
        cosines = F.cosine_similarity(projected, target).mean(), F.cosine_similarity(mean, target).mean()
        means.append([float(each) for each in (*errors, *cosines)])
        sizes.append(len(target))
    error, baseline, cosine, chance_cosine = np.average(means, axis=0, weights=sizes).tolist()
    if not baseline:
        raise PipelineError(
            "the LiDAR classifier gives every pair the same features: it learnt nothing, lower lidar.lr"
        )
    return {
        "loss": error,
        "chance_loss": baseline,
        "r2": 1 - error / baseline,
        "cosine": cosine,
        "chance_cosine": chance_cosine,
    }


def mean_by_chunk(values: Tensor, rows: Tensor) -> Tensor:
    """Return the mean (F,) of the rows (R,) of `values` (N, F), float32 on the CPU, a chunk of rows at a time."""
    total = torch.zeros(values.shape[1], dtype=torch.float64)
    for chunk in rows.split(CHUNK_PAIRS):
        total += values[chunk].mean(dim=0).double().cpu() * len(chunk)
    return (total / len(rows)).float()


def _share(hits: Tensor) -> float:
    return float(hits.double().mean())


def _uniformity(unit_rows: Tensor) -> float:
    count = len(unit_rows)
    if count < 2:
        return 0.0
    chunks = chunk_rows(count, count)
    if len(chunks) == 1:
        return float(torch.pdist(unit_rows).square().mul(-2).exp().double().mean().log())
    total = 0.0
    for rows in chunks:  # of unit vectors -2 d^2 is 4 s - 4
        kernel = (unit_rows[rows] @ unit_rows.T).mul_(4).sub_(4).exp_()  # (n, N)
        total += float(kernel.double().sum() - kernel.diagonal(rows.start).double().sum())
    return log(total / (count * (count - 1)))

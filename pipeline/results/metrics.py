"""What outputs are worth. Pure functions of tensors; N samples, D embedding."""

from math import exp, log, log1p

import torch
from torch import Tensor
from torch.nn import functional as F

from pipeline.errors import PipelineError
from pipeline.models.contrast import symmetric_cross_entropy

Metrics = dict[str, float]


def classification(logits: Tensor, label: Tensor) -> Metrics:
    """(N,) logits, (N,) labels 0 or 1 -> mean cross-entropy, accuracy, macro F1, calibration; above 0 means 1."""
    label = label.cpu()
    counts = confusion(logits, label)
    return {
        "loss": float(F.binary_cross_entropy_with_logits(logits, label)),
        "accuracy": float(counts.diagonal().sum() / counts.sum()),
        "f1": macro_f1(counts),
        "ece": calibration_error(logits, label),
    }


def confusion(logits: Tensor, label: Tensor) -> Tensor:
    """(N,) logits, (N,) labels 0 or 1 -> (2, 2) counts, a row a true class, a column what was said; above 0 means 1."""
    cell = 2 * label.cpu().long() + (logits > 0).long()
    return torch.bincount(cell, minlength=4).reshape(2, 2)


def macro_f1(counts: Tensor) -> float:
    """F1 of either class from `confusion`, their mean; 0 for a class that neither is nor was said (as scikit-learn)."""
    named = (counts.sum(dim=0) + counts.sum(dim=1)).double()  # said + true of each class
    return float((2 * counts.diagonal() / named.clamp(min=1)).mean())


def calibration_error(logits: Tensor, label: Tensor, bins: int = 15) -> float:
    """Expected calibration error (Guo et al. 2017): how far confidence is from accuracy, over equally wide bins.

    Confidence is the probability of the class that is named, 0.5 to 1; 0 is perfect.
    """
    sure = torch.sigmoid(logits.double().abs())
    right = ((logits > 0) == label.cpu().bool()).double()
    place = ((sure * bins).ceil().long() - 1).clamp(0, bins - 1)  # a bin holds its upper end
    gap = torch.zeros(bins, dtype=torch.float64).index_add(0, place, right - sure)
    return float(gap.abs().sum() / len(logits))


def prefixed(prefix: str, metrics: Metrics) -> Metrics:
    """The same figures, named for the split they were measured on: loss -> val_loss."""
    return {f"{prefix}_{name}": value for name, value in metrics.items()}


def majority(label: Tensor) -> float:
    """Accuracy of always naming the more frequent class: the chance level of the figures beside it."""
    share = float(label.double().mean())
    return max(share, 1 - share)


def ranks(queries: Tensor, keys: Tensor) -> Tensor:
    """(N, D), (N, D) -> (N,) rank of key i for query i by dot product, 0 = first. A tie counts against it."""
    similarity = queries @ keys.T  # (N, N)
    own = similarity.diagonal().unsqueeze(1)
    return (similarity >= own).sum(dim=1) - 1


def retrieval(rgb: Tensor, lidar: Tensor) -> Metrics:
    """(N, D) unit rows each -> share of pictures whose LiDAR is the first, or among the first five, of all N.

    `mean_rank` counts from 1. `reverse` asks with LiDAR for RGB. Chance is 1/N, 5/N and (N + 1)/2.
    """
    forward, reverse = ranks(rgb, lidar), ranks(lidar, rgb)
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


def geometry(rgb: Tensor, lidar: Tensor) -> Metrics:
    """(N, D) unit rows each -> alignment and uniformity (Wang and Isola 2020), with alignment's chance.

    Alignment is the mean squared distance within true pairs, 0 at best; its chance is that of all other pairs.
    Uniformity is the log mean of exp(-2 d^2) over all pairs of one sensor: 0 = all alike, near -4 = evenly spread.
    """
    distance = 2 - 2 * (rgb @ lidar.T).double()  # (N, N), squared, of unit vectors
    own = distance.diagonal()
    return {
        "alignment": float(own.mean()),
        "chance_alignment": float((distance.sum() - own.sum()) / max(1, distance.numel() - len(own))),
        "uniformity_rgb": _uniformity(rgb),
        "uniformity_lidar": _uniformity(lidar),
    }


def contrastive(rgb: Tensor, lidar: Tensor, scale: float, batch: int) -> Metrics:
    """(N, D) unit rows each -> symmetric cross-entropy in batches, every pair counted once, its chance and floor.

    Chance is ln B: nothing is known. The floor is ln(1 + (B - 1) exp(-scale B / (B - 1))): B unit vectors cannot all
    point apart, so at best a pair's similarity is 1 and that of all others -1 / (B - 1). Of uneven batches, the means.
    """
    parts = list(zip(rgb.split(batch), lidar.split(batch), strict=True))
    sizes = [len(part) for part, _ in parts]

    def mean(values: list[float]) -> float:
        return sum(value * size for value, size in zip(values, sizes, strict=True)) / len(rgb)

    return {
        "loss": mean([float(symmetric_cross_entropy(a, b, scale)) for a, b in parts]),
        "chance_loss": mean([log(size) for size in sizes]),
        "floor_loss": mean([log1p((size - 1) * exp(-scale * size / max(1, size - 1))) for size in sizes]),
    }


def projection(projected: Tensor, target: Tensor, mean: Tensor) -> Metrics:
    """(N, D) each, and the (D,) mean of the training targets -> mean squared error beside that of the mean, and R2.

    Features after a ReLU all point roughly the same way: the cosine of the mean stands beside that of the projector.
    """
    error = float(F.mse_loss(projected, target))
    baseline = float(F.mse_loss(mean.expand_as(target), target))
    if not baseline:
        raise PipelineError(
            "the LiDAR classifier gives every pair the same features: it learnt nothing, lower lidar.lr"
        )
    return {
        "loss": error,
        "chance_loss": baseline,
        "r2": 1 - error / baseline,
        "cosine": float(F.cosine_similarity(projected, target).mean()),
        "chance_cosine": float(F.cosine_similarity(mean.expand_as(target), target).mean()),
    }


def _share(hits: Tensor) -> float:
    return float(hits.double().mean())


def _uniformity(rows: Tensor) -> float:
    return float(torch.pdist(rows).square().mul(-2).exp().double().mean().log()) if len(rows) > 1 else 0.0

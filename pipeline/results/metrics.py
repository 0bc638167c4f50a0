"""What outputs are worth. Pure functions of tensors; N samples, D embedding."""

from math import log

from sklearn.metrics import f1_score
from torch import Tensor
from torch.nn import functional as F

from pipeline.errors import PipelineError
from pipeline.models.contrast import symmetric_cross_entropy

Metrics = dict[str, float]


def classification(logits: Tensor, label: Tensor) -> Metrics:
    """(N,) logits and (N,) labels 0 or 1 -> mean cross-entropy, accuracy and macro F1 of all N; above 0 means 1."""
    label = label.cpu()
    predicted = logits > 0
    return {
        "loss": float(F.binary_cross_entropy_with_logits(logits, label)),
        "accuracy": float((predicted == label.bool()).double().mean()),
        "f1": float(f1_score(label.bool(), predicted, average="macro", zero_division=0)),
    }


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

    `reverse` asks with LiDAR for RGB. Chance is 1/N and 5/N.
    """
    forward, reverse = ranks(rgb, lidar), ranks(lidar, rgb)
    return {
        "top1": _share(forward < 1),
        "top5": _share(forward < 5),
        "top1_reverse": _share(reverse < 1),
        "top5_reverse": _share(reverse < 5),
        "chance_top1": 1 / len(rgb),
        "chance_top5": min(1.0, 5 / len(rgb)),
    }


def contrastive(rgb: Tensor, lidar: Tensor, scale: float, batch: int) -> Metrics:
    """(N, D) unit rows each -> symmetric cross-entropy in batches, every pair counted once, and its chance."""
    parts = list(zip(rgb.split(batch), lidar.split(batch), strict=True))
    loss = sum(float(symmetric_cross_entropy(a, b, scale)) * len(a) for a, b in parts) / len(rgb)
    return {"loss": loss, "chance_loss": sum(log(len(a)) * len(a) for a, _ in parts) / len(rgb)}


def projection(projected: Tensor, target: Tensor, mean: Tensor) -> Metrics:
    """(N, D) each, and the (D,) mean of the training targets -> mean squared error beside that of the mean, and R2."""
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
    }


def _share(hits: Tensor) -> float:
    return float(hits.double().mean())

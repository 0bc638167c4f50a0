"""What outputs are worth. Pure functions of tensors; N samples, D embedding."""

import torch
from torch import Tensor
from torch.nn import functional as F

Metrics = dict[str, float]


def classification_metrics(logits: Tensor, label: Tensor) -> Metrics:
    """(N,) logits, (N,) labels 0 or 1 -> mean cross-entropy, accuracy, macro F1, calibration; above 0 means 1."""
    label = label.cpu()
    counts = confusion_matrix(logits, label)
    return {
        "loss": float(F.binary_cross_entropy_with_logits(logits, label)),
        "accuracy": float(counts.diagonal().sum() / counts.sum()),
        "f1": macro_f1(counts),
        "ece": calibration_error(logits, label),
    }


def confusion_matrix(logits: Tensor, label: Tensor) -> Tensor:
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


def add_prefix(prefix: str, metrics: Metrics) -> Metrics:
    """The same figures, named for the split they were measured on: loss -> val_loss."""
    return {f"{prefix}_{name}": value for name, value in metrics.items()}


def majority_accuracy(label: Tensor) -> float:
    """Accuracy of always naming the more frequent class: the chance level of the figures beside it."""
    share = float(label.double().mean())
    return max(share, 1 - share)

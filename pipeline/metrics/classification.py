"""Metrics of classifiers. Pure functions of tensors; N samples; a logit above 0 means class 1."""

import torch
from torch import Tensor
from torch.nn import functional as F

Metrics = dict[str, float]


def classification_metrics(logits: Tensor, label: Tensor) -> Metrics:
    """Return mean cross-entropy, accuracy, macro F1 and calibration error of (N,) logits, (N,) labels 0 or 1."""
    label = label.cpu()
    counts = confusion_matrix(logits, label)
    return {
        "loss": float(F.binary_cross_entropy_with_logits(logits, label)),
        "accuracy": float(counts.diagonal().sum() / counts.sum()),
        "f1": macro_f1(counts),
        "ece": calibration_error(logits, label),
    }


def confusion_matrix(logits: Tensor, label: Tensor) -> Tensor:
    """Return counts (2, 2) of (N,) logits, (N,) labels 0 or 1: a row is a true class, a column a predicted one."""
    cell = 2 * label.cpu().long() + (logits > 0).long()
    return torch.bincount(cell, minlength=4).reshape(2, 2)


def macro_f1(counts: Tensor) -> float:
    """Return the mean F1 of both classes from a confusion matrix (2, 2).

    A class that no sample has and no logit predicts has F1 0, as in scikit-learn.
    """
    support = (counts.sum(dim=0) + counts.sum(dim=1)).double()  # predicted + true of each class
    return float((2 * counts.diagonal() / support.clamp(min=1)).mean())


def calibration_error(logits: Tensor, label: Tensor, bins: int = 15) -> float:
    """Return the expected calibration error (Guo et al. 2017), 0 at best: |confidence - accuracy| over equal bins.

    Confidence is the probability of the predicted class, 0.5 to 1.
    """
    confidence = torch.sigmoid(logits.double().abs())
    correct = ((logits > 0) == label.cpu().bool()).double()
    index = ((confidence * bins).ceil().long() - 1).clamp(0, bins - 1)  # a bin holds its upper end
    gap = torch.zeros(bins, dtype=torch.float64).index_add(0, index, correct - confidence)
    return float(gap.abs().sum() / len(logits))


def add_prefix(prefix: str, metrics: Metrics) -> Metrics:
    """Return the metrics under the name of their split: loss -> val_loss."""
    return {f"{prefix}_{name}": value for name, value in metrics.items()}


def majority_accuracy(label: Tensor) -> float:
    """Return the accuracy of always predicting the more frequent class of (N,) labels: the chance level of accuracy."""
    share = float(label.double().mean())
    return max(share, 1 - share)

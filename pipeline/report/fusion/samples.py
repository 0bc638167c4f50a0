"""Test pairs worth looking at: what the nets get wrong with confidence, and right without."""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np

from pipeline.report.cells import fusion_name


class Sample(NamedTuple):
    """A test pair and the prediction of one net for it."""

    pair: int  # in the order of the test split
    cell: str
    predicted: int  # 0 cube, 1 sphere
    confidence: float  # probability of the predicted class, 0.5 to 1


def most_confident_errors(logits: Mapping[str, np.ndarray], label: np.ndarray, count: int) -> list[Sample]:
    """Return the errors of the highest confidence in the (N,) logits of all cells, at most one a pair."""
    errors = [
        _sample(cell, values, pair)
        for cell, values in logits.items()
        for pair in np.flatnonzero((values > 0) != label).tolist()
    ]
    by_pair: dict[int, Sample] = {}
    for sample in sorted(errors, key=lambda sample: -sample.confidence):
        by_pair.setdefault(sample.pair, sample)
    return list(by_pair.values())[:count]


def least_confident_correct(cell: str, logits: np.ndarray, label: np.ndarray, count: int) -> list[Sample]:
    """Return the correct predictions of the lowest confidence in the (N,) logits of a cell."""
    correct = np.flatnonzero((logits > 0) == label)
    order = np.argsort(np.abs(logits[correct]), kind="stable")
    return [_sample(cell, logits, pair) for pair in correct[order][:count].tolist()]


def sample_titles(samples: Sequence[Sample], label: np.ndarray, class_names: Sequence[str]) -> list[str]:
    """Format the predicted class with its confidence; below it, for an error, the fusion that made it."""
    return [
        f"{class_names[sample.predicted]} {sample.confidence:.2f}"
        + ("" if label[sample.pair] == sample.predicted else f"\n{fusion_name(sample.cell)}")
        for sample in samples
    ]


def _sample(cell: str, logits: np.ndarray, pair: int) -> Sample:
    return Sample(pair, cell, int(logits[pair] > 0), float(1 / (1 + np.exp(-np.abs(logits[pair])))))

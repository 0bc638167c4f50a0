"""Metrics by literal tensors."""

import math

import pytest
import torch
from sklearn.metrics import f1_score

from pipeline.metrics.classification import (
    add_prefix,
    calibration_error,
    classification_metrics,
    confusion_matrix,
    macro_f1,
    majority_accuracy,
)


def test_classification_literally():
    logits = torch.tensor([2.0, -1.0, 0.5, -3.0])
    label = torch.tensor([1.0, 1.0, 1.0, 0.0])
    figures = classification_metrics(logits, label)
    assert figures["accuracy"] == 3 / 4
    # class 1: precision 1, recall 2/3 -> F1 4/5; class 0: precision 1/2, recall 1 -> F1 2/3
    assert figures["f1"] == pytest.approx((4 / 5 + 2 / 3) / 2)
    losses = [math.log(1 + math.exp(-x)) for x in (2.0, -1.0, 0.5, 3.0)]
    assert figures["loss"] == pytest.approx(sum(losses) / 4)


def test_one_class_for_all_is_chance_with_a_third_of_f1():
    figures = classification_metrics(torch.ones(10), torch.tensor([0.0, 1.0] * 5))
    assert figures["accuracy"] == 0.5 and figures["f1"] == pytest.approx(1 / 3)


def test_confusion_literally():
    counts = confusion_matrix(torch.tensor([-1.0, 2.0, 3.0, -4.0, 5.0]), torch.tensor([0.0, 0.0, 1.0, 1.0, 1.0]))
    assert counts.tolist() == [[1, 1], [1, 2]]  # row true, column named


@pytest.mark.parametrize("seed", range(5))
def test_macro_f1_is_that_of_scikit_learn(seed):
    draw = torch.Generator().manual_seed(seed)
    logits, label = torch.randn(30, generator=draw), (torch.rand(30, generator=draw) < 0.2).float()
    reference = f1_score(label.bool(), logits > 0, average="macro", zero_division=0)
    assert macro_f1(confusion_matrix(logits, label)) == pytest.approx(reference)


def test_macro_f1_of_a_class_that_never_comes_is_nothing():
    assert macro_f1(torch.tensor([[3, 0], [0, 0]])) == 0.5


def test_calibration_error_literally():
    # probabilities 0.8 of the class named, three of four right: 0.75 against 0.8
    logits = torch.full((4,), math.log(4))
    assert calibration_error(logits, torch.tensor([1.0, 1.0, 1.0, 0.0])) == pytest.approx(0.05, abs=1e-6)
    # sure and right, and in another bin sure of 0.6 and always wrong: halves of 0 and 0.6
    logits = torch.tensor([40.0, -40.0, math.log(1.5), -math.log(1.5)])
    assert calibration_error(logits, torch.tensor([1.0, 0.0, 0.0, 1.0])) == pytest.approx(0.3, abs=1e-6)


def test_a_bin_keeps_errors_of_both_signs_apart_from_other_bins():
    # 0.7 and never right, 0.9 and always right: 0.7 / 2 + 0.1 / 2, nothing cancels
    logits = torch.tensor([math.log(7 / 3), math.log(9)])
    assert calibration_error(logits, torch.tensor([0.0, 1.0])) == pytest.approx(0.4, abs=1e-6)


def test_majority_is_the_share_of_the_larger_class():
    assert majority_accuracy(torch.tensor([0.0, 0.0, 0.0, 1.0])) == 0.75
    assert majority_accuracy(torch.tensor([1.0, 1.0, 0.0])) == pytest.approx(2 / 3)


def test_prefixed():
    assert add_prefix("val", {"loss": 1.0}) == {"val_loss": 1.0}

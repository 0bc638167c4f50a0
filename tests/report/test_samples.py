"""Which pairs are worth looking at, from literal logits."""

import numpy as np
import pytest

from pipeline.report.fusion.samples import least_confident_correct, most_confident_errors, sample_titles

LABEL = np.array([0, 0, 1, 1])


def test_errors_are_the_most_confident_of_all_cells_one_a_pair():
    logits = {"a": np.array([1.0, -9.0, -2.0, 9.0]), "b": np.array([3.0, -9.0, 9.0, 9.0])}
    samples = most_confident_errors(logits, LABEL, 8)
    assert [(sample.pair, sample.cell, sample.predicted) for sample in samples] == [(0, "b", 1), (2, "a", 0)]
    assert samples[0].confidence == pytest.approx(1 / (1 + np.exp(-3.0)))
    assert most_confident_errors(logits, LABEL, 1) == samples[:1]
    assert most_confident_errors({"a": np.array([-1.0, -1, 1, 1])}, LABEL, 8) == []


def test_the_least_confident_of_what_is_correct():
    samples = least_confident_correct("a", np.array([-5.0, 0.1, 0.2, 0.5]), LABEL, 2)
    assert [(sample.pair, sample.predicted) for sample in samples] == [(2, 1), (3, 1)]  # pair 1 is wrong
    assert samples[0].confidence == pytest.approx(1 / (1 + np.exp(-0.2)))


def test_a_title_names_the_fusion_of_an_error():
    samples = most_confident_errors({"late-maxpool": np.array([3.0, -1, 1, 1])}, LABEL, 1)
    samples += least_confident_correct("add-maxpool", np.array([-5.0, -5, 0.5, 5]), LABEL, 1)
    assert sample_titles(samples, LABEL, ["cube", "sphere"]) == ["sphere 0.95\nlate", "sphere 0.62"]

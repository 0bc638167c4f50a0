"""What holds for all scores, logits and labels."""

from math import isclose

import numpy as np
import torch
from hypothesis import given
from hypothesis import strategies as st

from pipeline.metrics.classification import classification_metrics, majority_accuracy
from pipeline.metrics.seeds import aggregate_seeds, confidence_interval
from pipeline.report.significance import paired_mrmc_test, wilson_interval
from support.properties import FEW

SCORES = st.lists(st.floats(-1000, 1000), min_size=1, max_size=12)
CASES = st.lists(st.tuples(st.floats(-50, 50, width=32), st.sampled_from([0.0, 1.0])), min_size=1, max_size=40)


@FEW
@given(SCORES, st.floats(-100, 100))
def test_an_interval_moves_with_its_values_and_keeps_its_width(scores: list[float], shift: float) -> None:
    mean, width = confidence_interval(scores)
    moved_mean, moved_width = confidence_interval([score + shift for score in scores])
    assert isclose(moved_mean, mean + shift, abs_tol=1e-8)
    assert (width is None) == (len(scores) == 1) and (width is None or width >= 0)
    assert width is None or isclose(moved_width, width, abs_tol=1e-8)


@FEW
@given(SCORES)
def test_the_order_of_the_seeds_does_not_matter(scores: list[float]) -> None:
    forward, back = (aggregate_seeds([{"a": each} for each in order]) for order in (scores, scores[::-1]))
    assert all(forward[key] is back[key] is None or abs(forward[key] - back[key]) < 2e-6 for key in forward)


@FEW
@given(CASES)
def test_metrics_of_a_classifier_lie_in_their_ranges(cases: list[tuple[float, float]]) -> None:
    logits, label = (torch.tensor(each) for each in zip(*cases, strict=True))
    metrics = classification_metrics(logits, label)
    assert metrics["loss"] >= 0 and all(0 <= metrics[name] <= 1 + 1e-9 for name in ("accuracy", "f1", "ece"))
    right = sum((logit > 0) == (target > 0) for logit, target in cases)
    assert isclose(metrics["accuracy"], right / len(cases), abs_tol=1e-6) and majority_accuracy(label) >= 0.5


@FEW
@given(st.integers(1, 500), st.data())
def test_a_share_lies_in_its_interval(count: int, data: st.DataObject) -> None:
    hits = data.draw(st.integers(0, count))
    low, high = wilson_interval(hits, count)
    assert 0 <= low <= hits / count + 1e-12 and hits / count <= high + 1e-12 <= 1 + 1e-11


@FEW
@given(st.integers(1, 5), st.integers(1, 8), st.integers(0, 2**32 - 1))
def test_two_nets_that_change_places_change_the_sign_alone(seeds: int, cases: int, draw: int) -> None:
    first, second = np.random.default_rng(draw).integers(0, 2, (2, seeds, cases))
    forward, back = paired_mrmc_test(first, second), paired_mrmc_test(second, first)
    assert forward.mean == -back.mean and forward.p == back.p and forward.ci_half_width == back.ci_half_width
    assert forward.p is None or 0 <= forward.p <= 1

"""Means and intervals over seeds against textbook values."""

import pytest

from pipeline.metrics.seeds import aggregate_seeds, confidence_interval


def test_interval_by_students_t():
    mean, half = confidence_interval([1.0, 2.0, 3.0])
    # sd 1, n 3: t(0.975, 2) = 4.302653, times 1 / sqrt(3)
    assert mean == 2.0 and half == pytest.approx(4.302653 / 3**0.5, rel=1e-6)
    assert confidence_interval([1.0, 2.0, 3.0], level=0.5)[1] == pytest.approx(0.816497 / 3**0.5, rel=1e-5)


def test_equal_seeds_have_no_width_and_one_seed_has_no_interval():
    assert confidence_interval([0.5, 0.5]) == (0.5, 0.0)
    assert confidence_interval([0.5]) == (0.5, None)


def test_over_seeds_names_means_and_half_widths():
    rows = [{"accuracy": 0.9, "chance_top1": 0.5}, {"accuracy": 1.0, "chance_top1": 0.5}]
    assert aggregate_seeds(rows) == {
        "accuracy": 0.95,
        "accuracy_sd": 0.070711,
        "accuracy_ci95": 0.63531,
        "chance_top1": 0.5,
    }
    assert aggregate_seeds(rows[:1]) == {
        "accuracy": 0.9,
        "accuracy_sd": None,
        "accuracy_ci95": None,
        "chance_top1": 0.5,
    }


def test_values_of_a_formula_get_no_interval():
    rows = [{"floor_loss": 0.1, "course_chance_loss": 3.0}] * 2
    assert aggregate_seeds(rows) == {"floor_loss": 0.1, "course_chance_loss": 3.0}

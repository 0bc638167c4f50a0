"""Intervals against textbook values; verdicts against planted effects and planted nulls."""

import numpy as np
import pytest
from scipy import stats

from pipeline.metrics.seeds import aggregate_seeds, confidence_interval
from pipeline.report.significance import (
    compare_pairs,
    compare_to_reference,
    holm_correction,
    paired_mrmc_test,
    wilson_interval,
)


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


def test_over_seeds_gives_no_interval_to_what_a_formula_says():
    rows = [{"floor_loss": 0.1, "course_chance_loss": 3.0}] * 2
    assert aggregate_seeds(rows) == {"floor_loss": 0.1, "course_chance_loss": 3.0}


def test_of_pairs_by_wilsons_formula():
    low, high = wilson_interval(8, 10)
    assert (low, high) == (pytest.approx(0.4902, abs=1e-4), pytest.approx(0.9433, abs=1e-4))
    assert wilson_interval(400, 400)[0] == pytest.approx(0.9905, abs=1e-4) and wilson_interval(400, 400)[1] == 1.0


def planted(draw: np.random.Generator, lift: float, seeds: int = 3, scenes: int = 200) -> np.ndarray:
    """(S, N) scores of a net that is right in about 0.9 + lift: seeds differ, and some scenes are harder."""
    chance = 0.9 + lift + draw.normal(0, 0.01, (seeds, 1)) + draw.normal(0, 0.05, (1, scenes))
    return (draw.random((seeds, scenes)) < chance).astype(float)


def test_a_planted_effect_is_found_and_has_the_right_sign():
    draw = np.random.default_rng(0)
    words = [compare_to_reference({"a": planted(draw, 0.09), "b": planted(draw, 0)}, "b")["a"].word for _ in range(200)]
    assert words.count("better") >= 150 and "worse" not in words
    swapped = compare_to_reference({"a": planted(draw, -0.2), "b": planted(draw, 0)}, "b")["a"]
    assert swapped.word == "worse" and swapped.difference.mean == pytest.approx(-0.2, abs=0.05)


def test_a_planted_null_is_not_found_more_often_than_the_level_says():
    draw = np.random.default_rng(1)
    found = [paired_mrmc_test(planted(draw, 0), planted(draw, 0)).p < 0.05 for _ in range(1000)]
    assert np.mean(found) <= 0.06


def test_of_ten_planted_nulls_a_family_rarely_names_any():
    draw = np.random.default_rng(2)
    family = [{str(name): planted(draw, 0) for name in range(11)} for _ in range(150)]
    named = [
        any(each.word != "not distinguishable" for each in compare_to_reference(scores, "0").values())
        for scores in family
    ]
    assert np.mean(named) <= 0.08


def test_with_scenes_alone_it_is_the_t_test_over_scenes():
    draw = np.random.default_rng(3)
    gap = np.tile(draw.normal(0.1, 1, 50), (2, 1))  # both seeds say the same of every scene
    found = paired_mrmc_test(gap, np.zeros_like(gap))
    error = gap[0].std(ddof=1) / 50**0.5
    assert found.p == pytest.approx(2 * stats.norm.sf(abs(gap[0].mean()) / error), rel=1e-4)


def test_with_seeds_alone_it_is_the_t_test_over_seeds():
    gap = np.tile(np.array([[0.1], [0.2], [0.4]]), (1, 50))  # every scene says the same of a seed
    found = paired_mrmc_test(gap, np.zeros_like(gap))
    assert found.p == pytest.approx(stats.ttest_1samp([0.1, 0.2, 0.4], 0).pvalue)
    assert found.half == pytest.approx(confidence_interval([0.1, 0.2, 0.4])[1])


def test_equal_nets_cannot_be_told_apart_and_one_seed_says_nothing_of_others():
    same = np.ones((3, 10))
    assert paired_mrmc_test(same, same) == (0.0, 0.0, 1.0)
    one = compare_pairs({"a": (np.ones((1, 10)), np.zeros((1, 10)))})["a"]
    assert one.difference == (1.0, None, None) and one.p is None and one.word == "not distinguishable"
    always = compare_pairs({"a": (same, np.zeros((3, 10)))})["a"]
    assert always.word == "better" and always.p == 0.0


def test_holm_literally():
    assert holm_correction([0.01, 0.04, 0.03]) == pytest.approx([0.03, 0.06, 0.06])
    assert holm_correction([0.5, None, 0.9]) == [1.0, None, 1.0]
    assert holm_correction([]) == []

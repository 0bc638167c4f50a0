"""Intervals against textbook values; verdicts against planted effects and planted nulls."""

import numpy as np
import pytest
from scipy import stats

from pipeline.metrics.seeds import confidence_interval
from pipeline.report.significance import (
    compare_pairs,
    compare_to_reference,
    holm_correction,
    paired_mrmc_test,
    wilson_interval,
)


def test_wilson_interval_by_the_formula():
    low, high = wilson_interval(8, 10)
    assert (low, high) == (pytest.approx(0.4902, abs=1e-4), pytest.approx(0.9433, abs=1e-4))
    assert wilson_interval(400, 400)[0] == pytest.approx(0.9905, abs=1e-4) and wilson_interval(400, 400)[1] == 1.0


def planted(draw: np.random.Generator, lift: float, seeds: int = 3, scenes: int = 200) -> np.ndarray:
    """Draw (S, N) scores of a net that is right in about 0.9 + lift: seeds differ, and some scenes are harder."""
    chance = 0.9 + lift + draw.normal(0, 0.01, (seeds, 1)) + draw.normal(0, 0.05, (1, scenes))
    return (draw.random((seeds, scenes)) < chance).astype(float)


def test_a_planted_effect_is_found_and_has_the_right_sign():
    draw = np.random.default_rng(0)
    outcomes = [
        compare_to_reference({"a": planted(draw, 0.09), "b": planted(draw, 0)}, "b")["a"].outcome for _ in range(200)
    ]
    assert outcomes.count("better") >= 150 and "worse" not in outcomes
    swapped = compare_to_reference({"a": planted(draw, -0.2), "b": planted(draw, 0)}, "b")["a"]
    assert swapped.outcome == "worse" and swapped.difference.mean == pytest.approx(-0.2, abs=0.05)


def test_a_planted_null_is_not_found_more_often_than_the_level():
    draw = np.random.default_rng(1)
    found = [paired_mrmc_test(planted(draw, 0), planted(draw, 0)).p < 0.05 for _ in range(1000)]
    assert np.mean(found) <= 0.06


def test_of_ten_planted_nulls_a_family_rarely_names_any():
    draw = np.random.default_rng(2)
    family = [{str(name): planted(draw, 0) for name in range(11)} for _ in range(150)]
    named = [
        any(each.outcome != "not distinguishable" for each in compare_to_reference(scores, "0").values())
        for scores in family
    ]
    assert np.mean(named) <= 0.08


def test_with_scenes_alone_it_is_the_t_test_over_scenes():
    draw = np.random.default_rng(3)
    gap = np.tile(draw.normal(0.1, 1, 50), (2, 1))  # both seeds agree on every scene
    found = paired_mrmc_test(gap, np.zeros_like(gap))
    error = gap[0].std(ddof=1) / 50**0.5
    assert found.p == pytest.approx(2 * stats.norm.sf(abs(gap[0].mean()) / error), rel=1e-4)


def test_with_seeds_alone_it_is_the_t_test_over_seeds():
    gap = np.tile(np.array([[0.1], [0.2], [0.4]]), (1, 50))  # all scenes agree on a seed
    found = paired_mrmc_test(gap, np.zeros_like(gap))
    assert found.p == pytest.approx(stats.ttest_1samp([0.1, 0.2, 0.4], 0).pvalue)
    assert found.ci_half_width == pytest.approx(confidence_interval([0.1, 0.2, 0.4])[1])


def test_equal_nets_are_not_distinguishable_and_one_seed_gives_no_verdict():
    same = np.ones((3, 10))
    assert paired_mrmc_test(same, same) == (0.0, 0.0, 1.0)
    one = compare_pairs({"a": (np.ones((1, 10)), np.zeros((1, 10)))})["a"]
    assert one.difference == (1.0, None, None) and one.p is None and one.outcome == "not distinguishable"
    always = compare_pairs({"a": (same, np.zeros((3, 10)))})["a"]
    assert always.outcome == "better" and always.p == 0.0


def test_holm_literally():
    assert holm_correction([0.01, 0.04, 0.03]) == pytest.approx([0.03, 0.06, 0.06])
    assert holm_correction([0.5, None, 0.9]) == [1.0, None, 1.0]
    assert holm_correction([]) == []


def test_mean_squares_literally():
    gap = np.array([[1, 1, 1, 0.5], [0, 0, 0.5, 0], [0.5, 0.5, 0.5, 0.5]])
    # MS_R 9/16 > MS_RC 5/144, MS_C 1/18: variance 9/16 + 1/18 - 5/144 = 7/12 over 3 x 4, 2 (28/27)^2 degrees of freedom
    assert paired_mrmc_test(gap, np.zeros((3, 4))) == (0.5, 0.8876400440476604, 0.14253955972763283)
    t = 0.5 / (7 / 12 / 12) ** 0.5
    assert 2 * stats.t.sf(t, 2 * (28 / 27) ** 2) == pytest.approx(0.14253955972763283)


def test_seeds_that_differ_less_than_noise_count_as_noise():
    gap = np.array([[0.5, 0, 1, 0], [0.5, 0.5, 0, 0.5], [0, 0.5, 0.5, 0.5]])
    # MS_R 0 and MS_C 1/48 lie under MS_RC 1/6, which alone is the variance; the normal distribution
    assert paired_mrmc_test(gap, np.zeros((3, 4))) == (0.375, 0.2309842503001246, 0.0014627612823665686)
    assert 2 * stats.norm.sf(0.375 / (1 / 6 / 12) ** 0.5) == pytest.approx(0.0014627612823665686, rel=1e-4)

"""Paired tests between nets and intervals over test pairs. Pure functions of numbers.

S seeds, N cases of the test split (scenes or pairs), P comparisons.
"""

from collections.abc import Mapping, Sequence
from typing import NamedTuple, TypeVar

import numpy as np
from scipy.special import stdtr, stdtrit  # scipy.stats has the same functions and takes ten times as long to import

from pipeline.metrics.seeds import CONFIDENCE

Name = TypeVar("Name")
BETTER, WORSE, LEVELLED = "better", "worse", "not distinguishable"  # the outcomes of a comparison
ZERO_VARIANCE = 1e-12  # below this the variance of a difference is rounding
NORMAL_DF = 1e6  # from this many degrees of freedom on, Student's t is the normal distribution


def wilson_interval(hits: int, count: int, level: float = CONFIDENCE) -> tuple[float, float]:
    """Compute the confidence interval of the share `hits` / `count` of independent test pairs (Wilson 1927)."""
    from scipy.stats import binomtest  # slow to import

    share = binomtest(hits, count).proportion_ci(level, method="wilson")
    return float(share.low), float(share.high)


class Difference(NamedTuple):
    """The difference of two nets in a score, the first minus the second."""

    mean: float
    ci_half_width: float | None  # of the 95% interval; None for a single seed: nothing follows for other seeds
    p: float | None  # probability of a difference of this size or larger, in either direction, under the null


def paired_mrmc_test(first: np.ndarray, second: np.ndarray) -> Difference:
    """Compare the (S, N) scores of two nets on equal seeds and cases, with seeds and cases both as random effects.

    The analysis of variance for multiple readers and multiple cases (MRMC; Dorfman, Berbaum and Metz 1992, with the
    degrees of freedom of Hillis 2007). Seeds are the readers R, test scenes are the cases C. With the gaps
    g = first - second, their mean m, their seed means g_r and their case means g_c, the mean squares are

        MS_R  = N sum_r (g_r - m)^2 / (S - 1)
        MS_C  = S sum_c (g_c - m)^2 / (N - 1)
        MS_RC = sum_rc (g_rc - g_r - g_c + m)^2 / ((S - 1) (N - 1))

    and the variance of m is (max(MS_R, MS_RC) + max(MS_C - MS_RC, 0)) / (S N), with
    (S - 1) ((max(MS_R, MS_RC) + max(MS_C - MS_RC, 0)) / MS_R)^2 degrees of freedom where MS_R > MS_RC.
    Where MS_R <= MS_RC, the far better known MS_RC stands for MS_R and the normal distribution for Student's t.

    A t test over seeds alone holds for these test cases only; McNemar's test over cases alone holds for these weights
    only. By simulation with three seeds (benchmarks/significance.py), a family of ten nulls gives a false finding 4
    times in 100 with Holm's correction and 26 times without. If seeds differ by far more than MS_RC shows, three seeds
    are too few: 18 times in 100, and 5 times with five seeds.
    """
    gap = np.asarray(first, dtype=float) - np.asarray(second, dtype=float)  # (S, N)
    seeds, cases = gap.shape
    mean = float(gap.mean())
    if seeds < 2 or cases < 2:
        return Difference(mean, None, None)
    seed_means, case_means = gap.mean(axis=1), gap.mean(axis=0)
    residuals = gap - seed_means[:, None] - case_means + mean
    ms_r = cases * seed_means.var(ddof=1)
    ms_c = seeds * case_means.var(ddof=1)
    ms_rc = np.square(residuals).sum() / ((seeds - 1) * (cases - 1))
    variance = max(ms_r, ms_rc) + max(ms_c - ms_rc, 0.0)
    if variance <= ZERO_VARIANCE:
        return Difference(mean, 0.0, 1.0 if abs(mean) < ZERO_VARIANCE else 0.0)
    error = (variance / (seeds * cases)) ** 0.5
    df = min((seeds - 1) * (variance / ms_r) ** 2, NORMAL_DF) if ms_r > ms_rc else NORMAL_DF
    p = 2 * stdtr(df, -abs(mean) / error)
    return Difference(mean, float(stdtrit(df, (1 + CONFIDENCE) / 2) * error), float(p))


def holm_correction(p_values: Sequence[float | None]) -> list[float | None]:
    """Correct the P p values of one family for their number (Holm 1979); None stays None and does not count."""
    order = sorted((p, place) for place, p in enumerate(p_values) if p is not None)
    corrected: list[float | None] = [None] * len(p_values)
    highest = 0.0
    for rank, (p, place) in enumerate(order):
        highest = max(highest, min(1.0, p * (len(order) - rank)))
        corrected[place] = highest
    return corrected


class Verdict(NamedTuple):
    """The result of comparing one net with a reference."""

    difference: Difference
    p: float | None  # corrected for the number of comparisons
    outcome: str  # better | worse | not distinguishable


def compare_to_reference(scores: Mapping[str, np.ndarray], reference: str) -> dict[str, Verdict]:
    """Compare every net but `reference` with it, from (S, N) scores by name; corrected for the number of nets."""
    return compare_pairs({name: (score, scores[reference]) for name, score in scores.items() if name != reference})


def compare_pairs(pairs: Mapping[Name, tuple[np.ndarray, np.ndarray]]) -> dict[Name, Verdict]:
    """Compare both (S, N) scores of every pair; all pairs are one family, corrected for their number."""
    differences = {name: paired_mrmc_test(*both) for name, both in pairs.items()}
    corrected = holm_correction([difference.p for difference in differences.values()])
    return {
        name: Verdict(difference, p, _outcome(difference, p))
        for (name, difference), p in zip(differences.items(), corrected, strict=True)
    }


def _outcome(difference: Difference, p: float | None) -> str:
    if p is None or p >= 1 - CONFIDENCE:
        return LEVELLED
    return BETTER if difference.mean > 0 else WORSE

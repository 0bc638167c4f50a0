"""Means, intervals and paired tests over seeds and test pairs. Pure functions of numbers.

S seeds, N cases of the test split (scenes, or pairs), P comparisons.
"""

from collections.abc import Mapping, Sequence
from typing import NamedTuple, TypeVar

import numpy as np
from scipy.special import stdtr, stdtrit  # scipy.stats has the same and takes ten times as long to import

from pipeline.metrics.seeds import CONFIDENCE

Name = TypeVar("Name")


def wilson_interval(hits: int, count: int, level: float = CONFIDENCE) -> tuple[float, float]:
    """The interval of a share `hits` / `count` of independent test pairs (Wilson 1927), for one net."""
    from scipy.stats import binomtest  # slow to import, and trainings do without it

    found = binomtest(hits, count).proportion_ci(level, method="wilson")
    return float(found.low), float(found.high)


class Difference(NamedTuple):
    """Of two nets in a score, the first minus the second."""

    mean: float
    half: float | None  # half-width of its 95% interval; None where a single seed tells nothing of other seeds
    p: float | None  # probability of so large a difference, either way, were there none


def paired_mrmc_test(first: np.ndarray, second: np.ndarray) -> Difference:
    """(S, N) scores of two nets, the same seeds and cases -> their difference, with seeds and cases both drawn anew.

    The analysis of variance of many readers and many cases (Dorfman, Berbaum and Metz 1992, with the degrees of
    freedom of Hillis 2007), seeds being the readers. A t test over seeds alone holds for these very test cases only;
    McNemar's over cases alone holds for these very weights only. This one asks for other weights and other cases.
    Where seeds differ less than noise does, noise is taken: it is known much better. By simulation with three seeds,
    a family of ten nulls then finds something 4 times in 100, and 15 times without. Seeds that differ by far more
    than noise are too few if they are three: 14 times in 100 then, 5 with five seeds.
    """
    gap = np.asarray(first, dtype=float) - np.asarray(second, dtype=float)  # (S, N)
    seeds, cases = gap.shape
    mean = float(gap.mean())
    if seeds < 2 or cases < 2:
        return Difference(mean, None, None)
    by_seed, by_case = gap.mean(axis=1), gap.mean(axis=0)
    rest = gap - by_seed[:, None] - by_case + mean
    of_seeds = cases * by_seed.var(ddof=1)  # mean squares
    of_cases = seeds * by_case.var(ddof=1)
    noise = np.square(rest).sum() / ((seeds - 1) * (cases - 1))
    spread = max(of_seeds, noise) + max(of_cases - noise, 0.0)
    if spread <= 1e-12:
        return Difference(mean, 0.0, 1.0 if abs(mean) < 1e-12 else 0.0)
    error = (spread / (seeds * cases)) ** 0.5
    # Student's t is the normal distribution from a million on
    freedom = min((seeds - 1) * (spread / of_seeds) ** 2, 1e6) if of_seeds > noise else 1e6
    p = 2 * stdtr(freedom, -abs(mean) / error)
    return Difference(mean, float(stdtrit(freedom, (1 + CONFIDENCE) / 2) * error), float(p))


def holm_correction(found: Sequence[float | None]) -> list[float | None]:
    """p values of a family of P comparisons -> the same, corrected for their number (Holm 1979); None stays None."""
    order = sorted((p, place) for place, p in enumerate(found) if p is not None)
    corrected: list[float | None] = [None] * len(found)
    highest = 0.0
    for rank, (p, place) in enumerate(order):
        highest = max(highest, min(1.0, p * (len(order) - rank)))
        corrected[place] = highest
    return corrected


class Verdict(NamedTuple):
    """What may be said of one net beside another."""

    difference: Difference
    p: float | None  # corrected for the number of comparisons
    word: str  # better | worse | not distinguishable


def compare_to_reference(scores: Mapping[str, np.ndarray], reference: str) -> dict[str, Verdict]:
    """(S, N) scores by name -> each but `reference` beside it, corrected for their number."""
    return compare_pairs({name: (score, scores[reference]) for name, score in scores.items() if name != reference})


def compare_pairs(pairs: Mapping[Name, tuple[np.ndarray, np.ndarray]]) -> dict[Name, Verdict]:
    """Comparison -> the (S, N) scores of its two nets; one family, corrected for their number."""
    found = {name: paired_mrmc_test(*both) for name, both in pairs.items()}
    corrected = holm_correction([difference.p for difference in found.values()])
    return {
        name: Verdict(difference, p, _word(difference, p))
        for (name, difference), p in zip(found.items(), corrected, strict=True)
    }


def _word(difference: Difference, p: float | None) -> str:
    if p is None or p >= 1 - CONFIDENCE:
        return "not distinguishable"
    return "better" if difference.mean > 0 else "worse"

"""Means and intervals over seeds. Pure functions of numbers."""

from collections.abc import Sequence

import numpy as np
from scipy import stats

from pipeline.results.metrics import Metrics


def interval(values: Sequence[float], level: float = 0.95) -> tuple[float, float | None]:
    """Mean and half-width of its confidence interval by Student's t; None from a single value, which has no spread."""
    if len(values) < 2:
        return float(values[0]), None
    half = stats.t.ppf((1 + level) / 2, len(values) - 1) * stats.sem(values)
    return float(np.mean(values)), float(half)


def over_seeds(rows: Sequence[Metrics]) -> dict[str, float | None]:
    """One row a seed -> `name` (the mean) and `name_ci95` (the half-width), rounded to 6 digits.

    Chance levels and floors come from formulas or from the data: they get no interval.
    """
    summary: dict[str, float | None] = {}
    for name in rows[0]:
        mean, half = interval([row[name] for row in rows])
        summary[name] = round(mean, 6)
        if not {"chance", "floor"} & set(name.split("_")):
            summary[f"{name}_ci95"] = None if half is None else round(half, 6)
    return summary


def of_pairs(hits: int, count: int, level: float = 0.95) -> tuple[float, float]:
    """The interval of a share `hits` / `count` of independent test pairs (Wilson 1927), for one net."""
    found = stats.binomtest(hits, count).proportion_ci(level, method="wilson")
    return float(found.low), float(found.high)

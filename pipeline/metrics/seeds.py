"""Means and intervals over seeds. Pure functions of numbers."""

from collections.abc import Mapping, Sequence

import numpy as np
from scipy.special import stdtrit  # scipy.stats has the same function and takes ten times as long to import

CONFIDENCE = 0.95  # of every interval and verdict


def confidence_interval(values: Sequence[float], level: float = CONFIDENCE) -> tuple[float, float | None]:
    """Return the mean and the half-width of its confidence interval by Student's t; None from a single value."""
    if len(values) < 2:
        return float(values[0]), None
    half_width = stdtrit(len(values) - 1, (1 + level) / 2) * np.std(values, ddof=1) / len(values) ** 0.5
    return float(np.mean(values)), float(half_width)


def aggregate_seeds(rows: Sequence[Mapping[str, float]]) -> dict[str, float | None]:
    """Return `name` (the mean over seeds), `name_sd` and `name_ci95` (the half-width) of every metric, to 6 digits.

    `rows` holds the metrics of one seed each. Chance levels and floors come from formulas or from the data: they get
    neither deviation nor interval.
    """
    summary: dict[str, float | None] = {}
    for name in rows[0]:
        values = [row[name] for row in rows]
        mean, half_width = confidence_interval(values)
        summary[name] = round(mean, 6)
        if not {"chance", "floor"} & set(name.split("_")):
            summary[f"{name}_sd"] = None if half_width is None else round(float(np.std(values, ddof=1)), 6)
            summary[f"{name}_ci95"] = None if half_width is None else round(half_width, 6)
    return summary

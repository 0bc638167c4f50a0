"""Findings of a study as values; their sentences stand in templates/findings.md.j2, one macro a finding."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from pipeline.report.significance import Verdict
from pipeline.report.text import Metrics

MAX_ANSWERS = 6  # on the report's first screen


@dataclass(frozen=True)
class Finding:
    """One answer: the values of the sentence that its template has for its outcome."""

    name: str  # name of the macro in the template
    section: str  # anchor of the section with the table behind it
    outcome: str  # selects the sentence that the numbers support
    values: Mapping[str, Any]


def answers(findings: Iterable[Finding | None]) -> list[Finding]:
    """Return the first MAX_ANSWERS findings; None stands for a question that this run does not answer."""
    return [finding for finding in findings if finding][:MAX_ANSWERS]


def is_above(metrics: Metrics, name: str, level: float) -> bool:
    """Return whether the interval over seeds lies above `level`; for one seed, whether the value does."""
    return metrics[name] - (metrics.get(f"{name}_ci95") or 0.0) > level


def are_apart(first: Metrics, second: Metrics, name: str = "accuracy") -> bool:
    """Return whether two intervals over seeds do not overlap; without intervals nothing is apart."""
    half_width, other = first.get(f"{name}_ci95"), second.get(f"{name}_ci95")
    if half_width is None or other is None:
        return False
    return abs(first[name] - second[name]) > half_width + other


def is_tested(verdicts: Mapping[Any, Verdict]) -> bool:
    """Return whether there was a test at all: it takes several seeds and several scenes."""
    return any(verdict.p is not None for verdict in verdicts.values())


def with_outcome(verdicts: Mapping[str, Verdict], outcome: str) -> list[str]:
    """Return the names with an outcome."""
    return [name for name, verdict in verdicts.items() if verdict.outcome == outcome]


def smallest_p(verdicts: Mapping[Any, Verdict]) -> float | None:
    """Return the smallest corrected p; None without a test."""
    return min((verdict.p for verdict in verdicts.values() if verdict.p is not None), default=None)


def widest_interval(verdicts: Mapping[Any, Verdict]) -> float:
    """Return the half-width of the widest interval of a difference; 0 without a test."""
    return max((verdict.difference.ci_half_width or 0.0 for verdict in verdicts.values()), default=0.0)

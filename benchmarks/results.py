"""The results of the benchmarks: benchmarks/results.json, and the tables that benchmarks/README.md has from it."""

import platform
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from statistics import median
from typing import Any

import torch

from pipeline.core.cores import count_cores
from pipeline.core.files import read_json, write_json, write_text
from pipeline.tracking.provenance import commit

START, END = "<!-- results of make bench -->", "<!-- end of the results -->"
HEAD = "| what | variant | baseline | unit | variant's median | baseline's median | ratio: median (min to max) |"


@dataclass(frozen=True)
class Row:
    """A variant beside its baseline: one value for each repetition or seed, in turn."""

    what: str
    variant: str
    unit: str
    values: list[float]  # a cost: less is better
    baseline: str = ""
    baseline_values: list[float] | None = None
    missed: int = 0  # trainings of the variant that did not reach the target: their values are what they spent
    baseline_missed: int = 0


def ratios(row: Row) -> list[float]:
    """Return the baseline's value over the variant's in each repetition: above 1 the variant is cheaper."""
    pairs = zip(row.baseline_values or [], row.values, strict=bool(row.baseline_values))
    return [base / value for base, value in pairs] if row.baseline_values else []


def format_ratio(row: Row) -> str:
    """Return median, minimum and maximum of the ratios; a side that missed its target makes them a bound."""
    if not row.baseline_values:
        return ""
    if row.missed:
        return "none: the variant missed the target"
    values = ratios(row)
    bound = "at least " if row.baseline_missed else ""
    return f"{bound}{median(values):.2f} ({min(values):.2f} to {max(values):.2f})"


def format_values(values: Sequence[float] | None, missed: int) -> str:
    """Return the median of the values, and how many trainings did not reach the target."""
    if not values:
        return ""
    text = f"{median(values):.3g}" if median(values) < 100 else f"{median(values):,.0f}"
    return f"{text}, {missed} of {len(values)} not reached" if missed else text


def render_table(rows: Sequence[Row]) -> str:
    """Return the rows as a Markdown table."""
    lines = [HEAD, "|" + "---|" * (HEAD.count("|") - 1)]
    for row in rows:
        own = format_values(row.values, row.missed)
        base = format_values(row.baseline_values, row.baseline_missed)
        cells = (row.what, row.variant, row.baseline, row.unit, own, base, format_ratio(row))
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


def render_groups(groups: Mapping[str, Mapping[str, Any]]) -> str:
    """Return every group as a heading, a line about the measurement, and its table."""
    parts = []
    for name, group in groups.items():
        about = "; ".join(f"{key} {value}" for key, value in group["about"].items())
        table = render_table([Row(**row) for row in group["rows"]])
        parts.append(f"### {name.capitalize()}\n\n{group['note']}\n\n{about}.\n\n{table}")
    return "\n\n".join(parts)


def describe_run(precision: str) -> dict[str, str]:
    """Return what a measurement holds for: processor, cores, native precision, torch, date and commit."""
    return {
        "processor": _processor(),
        "cores": str(count_cores()),
        "native precision": precision,
        "torch": torch.__version__,
        "date": f"{datetime.now(UTC):%Y-%m-%d}",
        "commit": commit()[:12],
    }


def save_group(path: Path, name: str, note: str, about: Mapping[str, str], rows: Sequence[Row]) -> dict[str, Any]:
    """Write a group into the JSON file `path`, in the place of its former figures, and return all groups."""
    groups = read_json(path) if path.exists() else {}
    groups[name] = {"note": note, "about": dict(about), "rows": [asdict(row) for row in rows]}
    write_json(path, groups)
    return groups


def write_page(page: Path, groups: Mapping[str, Mapping[str, Any]]) -> None:
    """Write the tables between the two marks of a Markdown page."""
    before, _, rest = page.read_text(encoding="utf-8").partition(START)
    write_text(page, f"{before}{START}\n\n{render_groups(groups)}\n\n{END}{rest.partition(END)[2]}")


def _processor() -> str:
    info = Path("/proc/cpuinfo")
    lines = info.read_text().splitlines() if info.exists() else []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor() or platform.machine()

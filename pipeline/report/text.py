"""Values as text, and the templates that hold the report's sentences."""

import re
from collections.abc import Iterable, Mapping
from functools import cache
from pathlib import Path
from typing import Any

import pandas as pd
from jinja2 import Environment, FileSystemLoader, StrictUndefined

Metrics = Mapping[str, Any]
TEMPLATES = Path(__file__).parent / "templates"


def with_interval(metrics: Metrics, name: str, digits: int = 4) -> str:
    """Format a mean as `mean ± half-width` of its 95% interval; the mean alone where one seed gave it."""
    half_width = metrics.get(f"{name}_ci95")
    return f"{metrics[name]:.{digits}f}" + ("" if half_width is None else f" ± {half_width:.{digits}f}")


def markdown(rows: list[dict[str, str]]) -> str:
    """Format rows of text as a Markdown table with aligned columns."""
    return pd.DataFrame(rows).to_markdown(index=False, disable_numparse=True) + "\n"


def compact(table: str) -> str:
    """Remove the padding of a Markdown table: a wide table is read rendered, not raw."""
    return re.sub(r" *\| *", "|", re.sub(r"-{4,}", "---", table))


def joined(items: Iterable[str], link: str = "and") -> str:
    """Join items as "a, b and c"; an empty list gives "none"."""
    *others, last = list(items) or ["none"]
    return f"{', '.join(others)} {link} {last}" if others else last


def code(names: Iterable[str]) -> str:
    """Join names as Markdown code: "`a`, `b` and `c`"."""
    return joined([f"`{name}`" for name in names])


def precision_note(recorded: Mapping[str, Metrics]) -> str:
    """Return a paragraph that names the precision of each of the metrics by name; nothing if it is one for all."""
    names: dict[str, list[str]] = {}
    for name, metrics in recorded.items():
        names.setdefault(metrics.get("precision", "not recorded"), []).append(name)
    if len(names) < 2:
        return ""
    kinds = "; ".join(f"{kind}: {code(each)}" for kind, each in sorted(names.items()))
    return f"\nUnlike precision. {kinds}. A difference between these may come from the rounding alone.\n"


def value_range(values: Iterable[float], form: str = "{:.4f}") -> str:
    """Format the lowest and the highest value as "low to high", or one value where both look alike."""
    ordered = sorted(values)
    return " to ".join(dict.fromkeys(form.format(end) for end in (ordered[0], ordered[-1])))


def signed(value: float) -> str:
    """Format a difference with its sign and four decimals; what rounds to zero is +0.0000."""
    return f"{round(value, 4) + 0.0:+.4f}"


def counted(number: int, noun: str) -> str:
    """Format a number with its noun, in the plural where it is not 1."""
    return f"{number:,} {noun}" + ("" if number == 1 else "s")


def one_line(text: str) -> str:
    """Join the lines of a text, with no space before a comma, semicolon, colon or full stop."""
    return re.sub(r" (?=[,;:.](?:\s|$))", "", " ".join(text.split()))


def verbatim(text: str) -> str:
    """Format any text as Markdown code on one line, between more backticks than the text has in a row."""
    line = " ".join(text.split())
    fence = "`" * (1 + max(map(len, re.findall("`+", line)), default=0))
    return f"{fence} {line} {fence}" if "`" in line else f"{fence}{line}{fence}"


def escaped(text: str) -> str:
    """Format any text as one line of Markdown without marks: every character that could be one is escaped."""
    return re.sub(r"([\\`*_\[\]<>&|~!#])", r"\\\1", " ".join(text.split()))


FILTERS = (with_interval, compact, joined, code, value_range, signed, counted, one_line, verbatim, escaped)


@cache
def _environment() -> Environment:
    """Load templates that fail on an unknown name; only HTML is escaped."""
    environment = Environment(
        loader=FileSystemLoader(TEMPLATES),
        undefined=StrictUndefined,
        autoescape=lambda name: name is not None and name.endswith(".html.j2"),
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    environment.filters |= {function.__name__: function for function in FILTERS}
    return environment


def render(template: str, **values: Any) -> str:
    """Fill a template of `report/templates/`; raises jinja2.UndefinedError for a name without a value."""
    return _environment().get_template(template).render(**values)


def render_markdown(template: str, **values: Any) -> str:
    """Fill a Markdown template, with at most one empty line in a row."""
    return re.sub(r"\n{3,}", "\n\n", render(template, **values)).strip() + "\n"

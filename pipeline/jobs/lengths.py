"""How long each stage took when it last ran here, by which the next run orders its stages."""

import json
from collections.abc import Hashable, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple, TypeVar

from pipeline.core.files import write_json

Name = TypeVar("Name", bound=Hashable)


class Length(NamedTuple):
    """The processor seconds of a stage: in all, and of the items of each group that may run side by side."""

    seconds: float
    groups: list[list[float]]


def read_lengths(path: Path) -> dict[str, Length]:
    """Return the recorded length of each stage by its name; an absent or broken record is an empty one."""
    try:
        return {name: Length(*values) for name, values in json.loads(path.read_text(encoding="utf-8")).items()}
    except (OSError, ValueError, TypeError, AttributeError):
        return {}


def write_lengths(path: Path, lengths: Mapping[str, Length]) -> None:
    """Write lengths for `read_lengths`."""
    write_json(path, {name: [round(length.seconds, 3), length.groups] for name, length in sorted(lengths.items())})


def read_groups(path: Path, stage: str) -> list[list[float]]:
    """Return the groups that one stage appended to the record of `core.slots.record_seconds`."""
    if not path.is_file():
        return []
    entries = [json.loads(line) for line in path.read_text().splitlines()]
    return [entry["seconds"] for entry in entries if entry["stage"] == stage]


def path_lengths(
    order: Sequence[Name], upstream: Mapping[Name, set[Name]], seconds: Mapping[Name, float]
) -> dict[Name, float]:
    """Return for every stage the seconds of the longest path that begins with it; `order` has ancestors first.

    A stage without seconds counts as one second, so that without any record the longest chain of stages comes first.
    """
    lengths = {stage: seconds.get(stage, 1.0) for stage in order}
    longest = dict(lengths)
    for stage in reversed(order):
        for ancestor in upstream[stage] & set(longest):
            longest[ancestor] = max(longest[ancestor], lengths[ancestor] + longest[stage])
    return longest

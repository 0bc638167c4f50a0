"""Issues of many frames: one for all that are odd, one for each run of scenes that is unusable."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np

from pipeline.raw.format import WARNINGS, Issue, pair_at
from pipeline.raw.index import NO_SCENES, Rows, consecutive_ranges, format_scene_numbers, format_scenes

Mask = np.ndarray  # (N,) bool, a row each


class Kind(NamedTuple):
    """The parts of an issue that all frames share."""

    sensor: str  # whose file is named
    code: str
    expected: str
    hint: str


def frame_issues(
    folder: Path, rows: Rows, kind: Kind, broken: Mask, judged: Mask, describe: Callable[[int], str]
) -> Iterator[Issue]:
    """Yield the issues of the rows `broken`, all of one class, among the rows `judged`; none for no row.

    `describe` returns what was found in a row. A warning is one issue for all rows. An error is one for each run of
    scenes, and makes them unusable.
    """
    places = np.flatnonzero(broken)
    scenes = rows.scene[places]
    if not places.size:
        return
    runs = [NO_SCENES] if kind.code in WARNINGS else consecutive_ranges(scenes)
    for run in runs:
        row = int(places[np.searchsorted(scenes, run[0])] if run else places[0])
        if not run and places.size > 1:
            more = f"; so in {places.size:,} of {judged.sum():,} frames: {format_scene_numbers(scenes)}"
        else:
            more = f"; so in {len(run):,} frames, {format_scenes(run)}" if len(run) > 1 else ""
        path = getattr(pair_at(folder, int(rows.label[row]), int(rows.scene[row])), kind.sensor)
        yield Issue(kind.code, path, describe(row) + more, kind.expected, kind.hint, run)

"""Which scenes an import writes: those drawn, copied one by one, and valid by the project's own check."""

import re
import shutil
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

import numpy as np

from pipeline.core.files import read_json, write_json
from pipeline.core.sensors import CLASSES, SENSORS
from pipeline.raw.format import DataError, Issue
from pipeline.raw.index import SceneNumbers, index_folder
from pipeline.raw.validate import validate_folder
from pipeline.tools.importers.copying import ALPHA_MARK, check_frames, copy_angles, copy_frames
from pipeline.tools.importers.inventory import Inventory, sample_scenes
from pipeline.tools.importers.source import Source


class SceneRequest(NamedTuple):
    """The scenes that the user requests."""

    scenes: int | None  # how many; None: all
    seed: int
    skip: bool  # leave out scenes that are incomplete or broken, instead of refusing the source


class SceneSelection(NamedTuple):
    """The scenes of a source that were imported and those that were left out as broken, both rising."""

    scenes: list[int]
    broken: list[int]
    alpha_added: bool  # to at least one picture


def copy_valid_scenes(source: Source, inventory: Inventory, partial: Path, request: SceneRequest) -> SceneSelection:
    """Copy the requested scenes to work/frames in `partial` under their own numbers; return which they are.

    The selection is stored in work/selection.json there, so that an interrupted import resumes behind it. Raises
    DataError with all issues of the source at once, or for too few valid scenes with `request.skip`.
    """
    record, frames = partial / "work/selection.json", partial / "work/frames"
    if record.exists():  # interrupted while frames were renumbered
        selection = SceneSelection(**read_json(record))
        if request.skip or not (selection.broken or inventory.incomplete):
            return selection
    for name in CLASSES:  # frames that were renumbered already, of a selection that is not resumed
        shutil.rmtree(partial / name, ignore_errors=True)
    complete = inventory.complete_scenes()
    tolerate = request.skip and complete.size > 0
    issues = [*inventory.absent_angles, *copy_angles(source, frames), *([] if tolerate else inventory.incomplete)]
    if issues:
        raise DataError(*issues, *([] if tolerate else check_frames(source, inventory.all_scenes())))
    order = sample_scenes(complete, request.scenes, request.seed, source)
    selection = _copy_until_valid(source, inventory, frames, order, request)
    write_json(record, selection._asdict())
    return selection


def _copy_until_valid(
    source: Source, inventory: Inventory, frames: Path, order: SceneNumbers, request: SceneRequest
) -> SceneSelection:
    """Copy the first valid scenes of `order`: broken ones are replaced by those that follow, until none is broken."""
    broken: set[int] = set()
    known: list[Issue] = []
    while True:
        wanted = np.sort([scene for scene in order.tolist() if scene not in broken][: request.scenes])
        if not wanted.size or wanted.size < (request.scenes or 0):
            raise DataError(*inventory.incomplete, *known, _too_few(source, wanted.size, request.scenes))
        issues = copy_frames(source, wanted, frames) or _validate(source, wanted, frames)
        if not issues:
            return SceneSelection(wanted.tolist(), sorted(broken), frames.with_name(ALPHA_MARK).exists())
        concerned = {scene for issue in issues for scene in issue.scenes or ()}
        if not request.skip or concerned <= broken or any(not issue.scenes for issue in issues):
            raise DataError(*issues)
        known += issues
        broken |= concerned


def _too_few(source: Source, found: int, count: int | None) -> Issue:
    expected = f"the {count:,} asked for" if count else "at least one"
    return Issue("request", Path(source.title), f"{found:,} valid scenes", expected, "fix the issues above")


def _validate(source: Source, scenes: SceneNumbers, frames: Path) -> list[Issue]:
    """Return the errors that the project's own check finds in the copied frames, named as the source names them.

    Frames of other scenes, which an earlier selection left, are removed first.
    """
    wanted = {f"{scene:04d}{suffix}" for scene in scenes.tolist() for suffix in SENSORS.values()}
    for path in frames.glob("*/*/*"):
        if path.name not in wanted:
            path.unlink()
    copied = re.compile(rf"{re.escape(str(frames))}/([\w/]+(?:\.\w+)?)")

    def rename(text: str) -> str:
        return copied.sub(lambda match: str(source.display_path(match[1])), text).replace(str(frames), source.title)

    def rename_issue(issue: Issue) -> Issue:
        return replace(
            issue,
            path=Path(rename(str(issue.path))),
            found=rename(issue.found),
            expected=rename(issue.expected),
            hint=rename(issue.hint),
        )

    return [rename_issue(issue) for issue in validate_folder(index_folder(frames), None).errors]

"""Import a foreign data set into the raw layout: frame by frame, whole or not at all."""

import fcntl
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

import numpy as np

from pipeline.core.errors import PipelineError
from pipeline.core.files import resumable_folder
from pipeline.core.sensors import ANGLES, CLASSES, SENSORS
from pipeline.raw.format import DataError, Issue, require_absent
from pipeline.raw.index import format_scene_numbers
from pipeline.tools.importers.inventory import Inventory, take_inventory
from pipeline.tools.importers.known_angles import add_known_angles
from pipeline.tools.importers.open_source import open_source
from pipeline.tools.importers.select_scenes import SceneRequest, SceneSelection, copy_valid_scenes
from pipeline.tools.importers.source import compute_fingerprint


class ImportResult(NamedTuple):
    """The result of an import, printed as the command's output."""

    folder: Path
    source: str  # its title and its pairs by class
    scenes: int
    notes: list[str]

    def __str__(self) -> str:
        written = f"{self.folder}: {self.scenes:,} scenes, {2 * self.scenes:,} pairs"
        next_step = "next" if self.folder == Path("data") else "to train on it move it to data, then"
        return "\n".join([self.source, *(f"- {note}" for note in self.notes), written, f"{next_step}: dvc add data"])


def import_dataset(
    location: str,
    folder: Path,
    scenes: int | None = None,
    seed: int = 0,
    skip: bool = False,
    known_angles: bool = False,
) -> ImportResult:
    """Write the data set at a location (see `open_source`) to `folder`, which must not exist.

    `scenes` complete scenes are drawn with `seed`; None imports all. Scenes that lack a frame or have a broken one are
    refused, all in one DataError, or left out with `skip`. With `known_angles` a source may lack its angle files (see
    `add_known_angles`). Scenes are renumbered from 0000 in their original order. An interrupted import is resumed by
    the next call with an equal source, `scenes` and `seed`.
    """
    if (scenes is not None and scenes < 1) or seed < 0:
        found = f"{scenes} scenes by seed {seed} asked for"
        raise DataError(Issue("request", folder, found, "at least 1 scene and a seed from 0 up", "ask for those"))
    require_absent(folder)
    source = open_source(location)
    source = add_known_angles(source) if known_angles else source
    inventory = take_inventory(source)
    request = SceneRequest(scenes, seed, skip)
    key = compute_fingerprint([source.fingerprint, scenes, seed])
    with _lock(folder), resumable_folder(folder, key) as partial:
        resumed = sum(1 for _ in partial.glob("work/frames/*/*/[0-9]*"))
        selection = copy_valid_scenes(source, inventory, partial, request)
        _renumber(partial, selection.scenes)
        require_absent(folder)  # whatever appeared meanwhile is not ours to replace
    notes = [*source.notes, *_describe_selection(inventory, selection, request)]
    if resumed:
        notes.append(f"{resumed:,} frames were there from an import that was interrupted")
    return ImportResult(folder, f"{source.title}: {inventory.describe()}", len(selection.scenes), notes)


@contextmanager
def _lock(folder: Path) -> Iterator[None]:
    """Exclude a second import, which would resume from this one's files. The lock is on the parent: no file is left."""
    folder.parent.mkdir(parents=True, exist_ok=True)
    handle = os.open(folder.parent, os.O_RDONLY)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(handle)
        raise PipelineError(f"{folder.parent}: another import is writing there; wait for its end") from None
    except OSError:
        pass  # some network file systems lock no folders
    try:
        yield
    finally:
        os.close(handle)


def _renumber(partial: Path, scenes: list[int]) -> None:
    """Move frames and angles where the raw layout has them; what an interrupted call has moved stays."""
    for name in CLASSES:
        for sensor, suffix in SENSORS.items():
            (partial / name / sensor).mkdir(parents=True, exist_ok=True)
            for new, old in enumerate(scenes):
                _move(partial, f"{name}/{sensor}/{old:04d}{suffix}", f"{name}/{sensor}/{new:04d}{suffix}")
        for angle in ANGLES:
            _move(partial, f"{name}/{angle}.npy", f"{name}/{angle}.npy")
    shutil.rmtree(partial / "work")


def _move(partial: Path, old: str, new: str) -> None:
    try:
        os.rename(partial / "work/frames" / old, partial / new)
    except FileNotFoundError:
        if not (partial / new).exists():
            raise


def _describe_selection(inventory: Inventory, selection: SceneSelection, request: SceneRequest) -> Iterator[str]:
    complete = inventory.complete_scenes()
    if (incomplete := np.setdiff1d(inventory.all_scenes(), complete)).size:
        yield f"left out, since they lack a frame: {incomplete.size:,} scenes, {format_scene_numbers(incomplete)}"
    if selection.broken:
        numbers = format_scene_numbers(np.array(selection.broken))
        yield f"left out, since a frame is broken: {len(selection.broken):,} scenes, {numbers}"
    if request.scenes is not None:
        yield f"{request.scenes:,} of {complete.size:,} complete scenes were drawn, with seed {request.seed}"
    if selection.alpha_added:
        yield "pictures without an alpha channel got an opaque one; their colors are unchanged"
    if selection.scenes != list(range(len(selection.scenes))):
        yield f"scenes were renumbered from 0000, in the order of {format_scene_numbers(np.array(selection.scenes))}"

"""Foreign data sets brought into the raw contract: frame by frame, byte for byte, whole or not at all."""

import fcntl
import os
import re
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

import numpy as np

from pipeline.core.errors import PipelineError
from pipeline.core.files import read_json, resumable_folder, write_json
from pipeline.core.sensors import ANGLES, CLASSES, SENSORS
from pipeline.raw.format import DataError, Issue, require_absent
from pipeline.raw.index import SceneNumbers, index_folder
from pipeline.raw.validate import validate_folder
from pipeline.tools.importers.copying import copy_angles, copy_frames
from pipeline.tools.importers.inventory import Inventory, format_inventory, sample_scenes, take_inventory
from pipeline.tools.importers.open_source import open_source
from pipeline.tools.importers.source import Source, digest


class ImportSettings(NamedTuple):
    """What was brought in."""

    folder: Path
    found: str  # in the source
    scenes: int
    notes: list[str]

    def __str__(self) -> str:
        done = f"{self.folder}: {self.scenes:,} scenes, {2 * self.scenes:,} pairs"
        before = "next" if self.folder == Path("data") else "to train on it move it to data, then"
        return "\n".join([self.found, *(f"- {note}" for note in self.notes), done, f"{before}: dvc add data"])


class ImportRecord(NamedTuple):
    """Scenes by their numbers in the source."""

    scenes: list[int]  # rising
    broken: list[int]


def import_dataset(where: str, folder: Path, scenes: int | None, seed: int, skip: bool) -> ImportSettings:
    """Write the set that `where` names (see `opening.open_source`) to `folder`, which must not exist.

    `scenes` of its whole scenes, drawn by `seed`; all by default. Scenes that lack a frame or have a broken one are
    refused, all in one DataError, or left out with `skip`. Frames are numbered anew from 0000, in their old order.
    An interrupted call is gone on with by the next one with the same source, `scenes` and `seed`.
    """
    if (scenes is not None and scenes < 1) or seed < 0:
        asked = f"{scenes} scenes by seed {seed} asked for"
        raise DataError(Issue("asked", folder, asked, "at least 1 scene and a seed from 0 up", "ask for those"))
    require_absent(folder)
    source = open_source(where)
    stock = take_inventory(source)
    with _alone(folder), resumable_folder(folder, digest([source.identity, scenes, seed])) as partial:
        done = sum(1 for _ in partial.glob("work/frames/*/*/[0-9]*"))
        kept = _gather(source, stock, partial, scenes, seed, skip)
        _number(partial, kept.scenes)
        require_absent(folder)  # made meanwhile, it is not ours to replace
    notes = [*source.notes, *_notes(stock, kept, scenes, seed)]
    if done:
        notes.append(f"{done:,} frames were there from an import that was interrupted")
    return ImportSettings(folder, f"{source.title}: {stock.pairs()}", len(kept.scenes), notes)


@contextmanager
def _alone(folder: Path) -> Iterator[None]:
    """Two at once would take each other's files for remains. The lock is on the folder above and leaves no file."""
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


def _notes(stock: Inventory, kept: ImportRecord, scenes: int | None, seed: int) -> Iterator[str]:
    whole = stock.whole()
    if lacking := np.setdiff1d(stock.known(), whole).tolist():
        yield f"left out, since they lack a frame: {len(lacking):,} scenes, {format_inventory(np.array(lacking))}"
    if kept.broken:
        yield f"left out, since a frame is broken: {len(kept.broken):,} scenes, {format_inventory(np.array(kept.broken))}"
    if scenes is not None:
        yield f"{scenes:,} of {whole.size:,} whole scenes were drawn, with seed {seed}"
    if kept.scenes != list(range(len(kept.scenes))):
        yield f"scenes were numbered anew from 0000, in the order of {format_inventory(np.array(kept.scenes))}"


# --- scenes


def _gather(source: Source, stock: Inventory, partial: Path, scenes: int | None, seed: int, skip: bool) -> ImportRecord:
    """Whole scenes in work/frames under their own numbers, checked; which they are is in work/kept.json."""
    record, frames = partial / "work/kept.json", partial / "work/frames"
    if record.exists():  # interrupted while frames were numbered anew
        kept = ImportRecord(**read_json(record))
        if skip or not (kept.broken or stock.incomplete):
            return kept
    for name in CLASSES:  # interrupted later still
        shutil.rmtree(partial / name, ignore_errors=True)
    whole = stock.whole()
    tolerated = skip and whole.size > 0
    faults = [*stock.angles, *copy_angles(source, frames), *([] if tolerated else stock.incomplete)]
    if faults:
        raise DataError(*faults, *([] if tolerated else copy_frames(source, stock.known(), None)))
    order = sample_scenes(whole, scenes, seed, source)
    broken: set[int] = set()
    while True:
        wanted = np.sort([scene for scene in order.tolist() if scene not in broken][:scenes])
        if not wanted.size or wanted.size < (scenes or 0):
            raise DataError(*stock.incomplete, *faults, _too_few(source, wanted.size, scenes))
        fresh = copy_frames(source, wanted, frames) or _check(source, wanted, frames)
        if not fresh:
            write_json(record, ImportRecord(wanted.tolist(), sorted(broken))._asdict())
            return ImportRecord(wanted.tolist(), sorted(broken))
        named = {scene for fault in fresh for scene in fault.scenes or ()}
        if not skip or named <= broken or any(not fault.scenes for fault in fresh):
            raise DataError(*fresh)
        faults += fresh
        broken |= named


def _too_few(source: Source, count: int, scenes: int | None) -> Issue:
    expected = f"the {scenes:,} asked for" if scenes else "at least one"
    return Issue("asked", source.root(), f"{count:,} scenes without a fault", expected, "mend what is told above")


# --- the set


def _check(source: Source, scenes: SceneNumbers, frames: Path) -> list[Issue]:
    """What the project's own check says of the frames, in the source's names; others than of `scenes` are removed."""
    wanted = {f"{scene:04d}{suffix}" for scene in scenes.tolist() for suffix in SENSORS.values()}
    for path in frames.glob("*/*/*"):
        if path.name not in wanted:
            path.unlink()

    def renamed(words: str) -> str:
        named = rf"{re.escape(str(frames))}/([\w/]+(?:\.\w+)?)"
        return re.sub(named, lambda match: str(source.place(match[1])), words).replace(str(frames), source.title)

    def of_source(fault: Issue) -> Issue:
        words = {name: renamed(getattr(fault, name)) for name in ("found", "expected", "hint")}
        return replace(fault, path=Path(renamed(str(fault.path))), **words)

    return list(map(of_source, validate_folder(index_folder(frames), None).errors))


def _number(partial: Path, scenes: list[int]) -> None:
    """Frames move to where the contract has them; what an interrupted call has moved already stays."""
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

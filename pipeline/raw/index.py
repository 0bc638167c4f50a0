"""What a raw folder holds by its names: scenes, partners, gaps, strays, links. No frame is opened."""

import os
from array import array
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np

from pipeline.core.sensors import ANGLES, CLASSES, SENSORS
from pipeline.raw.format import DataError, Issue, Pair, pair_at, read_angle

SceneNumbers = np.ndarray  # (S,) int64, rising


class Rows(NamedTuple):
    """The pairs of a folder in the order of the arrays: all cubes by scene, then all spheres. A row may lack a file."""

    label: np.ndarray  # (N,) uint8
    scene: np.ndarray  # (N,) int64
    rgb: np.ndarray  # (N,) bool: the file is there
    lidar: np.ndarray  # (N,) bool

    def part(self, start: int, stop: int) -> "Rows":
        """Some of them."""
        return Rows(*(column[start:stop] for column in self))

    def __len__(self) -> int:  # of rows, not of columns
        return self.label.size


class FolderIndex(NamedTuple):
    """Every well-named file of a folder, and what is wrong with the others."""

    folder: Path
    scenes: dict[tuple[str, str], SceneNumbers]  # (class, sensor) -> scene numbers
    faults: list[Issue]

    def rows(self) -> Rows:
        """Every scene of a class that has at least one file."""
        parts = []
        for label, name in enumerate(CLASSES):
            rgb, lidar = (self.scenes[name, sensor] for sensor in SENSORS)
            scene = np.union1d(rgb, lidar)
            labels = np.full(scene.size, label, np.uint8)
            parts.append(Rows(labels, scene, np.isin(scene, rgb), np.isin(scene, lidar)))
        return Rows(*map(np.concatenate, zip(*parts, strict=True)))

    def counts(self) -> dict[str, dict[str, int]]:
        """Class -> files by sensor and pairs."""
        return {
            name: {sensor: self.scenes[name, sensor].size for sensor in SENSORS}
            | {"pairs": np.intersect1d(*(self.scenes[name, sensor] for sensor in SENSORS)).size}
            for name in CLASSES
        }


def index_folder(folder: Path) -> FolderIndex:
    """Names, links and angle files of a raw folder; raises nothing: what is wrong is in `faults`."""
    faults: list[Issue] = []
    scenes = {(name, sensor): np.empty(0, np.int64) for name in CLASSES for sensor in SENSORS}
    if not folder.is_dir():
        return FolderIndex(folder, scenes, [_no_folder(folder)])
    faults += _strays(folder, CLASSES, folder)
    for name in CLASSES:
        home = folder / name
        if not home.is_dir():
            faults.append(_no_folder(home))
            continue
        faults += _strays(home, (*SENSORS, *(f"{angle}.npy" for angle in ANGLES)), folder)
        for sensor in SENSORS:
            scenes[name, sensor] = _list_sensor(home / sensor, folder, faults)
    listing = FolderIndex(folder, scenes, faults)
    if all((folder / name).is_dir() for name in CLASSES):
        faults += [*_unpaired(listing), *_lone(listing), *_gaps(listing), *_imbalance(listing), *_angle_faults(folder)]
    return listing


def list_pairs(folder: Path) -> list[Pair]:
    """Pairs that have both files, by (label, scene). Opens no frame and skips the unpaired: `check` first.

    Raises DataError when a class has no rgb or lidar folder.
    """
    listing = index_folder(folder)
    absent = [fault for fault in listing.faults if fault.kind == "no-folder"]
    if absent:
        raise DataError(*absent)
    rows = listing.rows()
    both = np.flatnonzero(rows.rgb & rows.lidar)
    return [pair_at(folder, int(rows.label[row]), int(rows.scene[row])) for row in both]


def consecutive_ranges(numbers: SceneNumbers) -> Iterator[range]:
    """Rising numbers as ranges without gaps, so that a thousand missing scenes are one line."""
    for part in np.split(numbers, np.flatnonzero(np.diff(numbers) != 1) + 1):
        if part.size:
            yield range(int(part[0]), int(part[-1]) + 1)


def format_scenes(scenes: range) -> str:
    """`0007` or `0007 .. 0009`."""
    return f"{scenes[0]:04d}" if len(scenes) == 1 else f"{scenes[0]:04d} .. {scenes[-1]:04d}"


# --- one folder


def _no_folder(path: Path) -> Issue:
    found = "a file" if path.exists() else "nothing"
    return Issue("no-folder", path, found, "a folder", "restore it or simulate a set")


def _strays(folder: Path, known: Iterable[str], root: Path) -> Iterator[Issue]:
    """What lies in a folder and is not in the contract; known names that are links out of `root`."""
    for entry in _entries(folder):
        if entry.name not in known:
            yield _stray(entry, f"only {', '.join(known)}")
        elif entry.is_symlink():
            yield from _link(Path(entry.path), root, None)


def _entries(folder: Path) -> list[os.DirEntry]:
    with os.scandir(folder) as entries:
        return sorted(entries, key=lambda entry: entry.name)


def _stray(entry: os.DirEntry, expected: str) -> Issue:
    path = Path(entry.path)
    if entry.is_dir() and entry.name in (*CLASSES, *SENSORS):
        fix = "`python -m pipeline import` brings such a set in as it should be"
        return Issue("nested", path, "a folder in a folder of its kind", expected, fix, range(0))
    return Issue("stray", path, "a stray file or folder", expected, "move it out of the data", range(0))


def _link(path: Path, root: Path, scenes: range | None) -> Iterator[Issue]:
    """A link may not lead out of the data set: what lies elsewhere can change, and nobody else has it."""
    target = path.resolve()
    if not target.exists():
        yield Issue("broken-link", path, f"a link to {target}, where nothing is", "a file", "restore it", scenes)
    elif not target.is_relative_to(root.resolve()):
        fix = "copy what it leads to in its place"
        yield Issue("link-outside", path, f"a link to {target}", "a file inside the data set", fix, scenes)


def _list_sensor(folder: Path, root: Path, faults: list[Issue]) -> SceneNumbers:
    """The scene numbers of a sensor's well-named files; what else is there goes to `faults`."""
    if not folder.is_dir():
        faults.append(_no_folder(folder))
        return np.empty(0, np.int64)
    suffix, numbers, wrong = SENSORS[folder.name], array("q"), []
    with os.scandir(folder) as entries:  # not as a list: there can be a hundred thousand
        for entry in entries:
            stem, ending = os.path.splitext(entry.name)
            if ending != suffix:
                wrong.append(_stray(entry, f"only 0000{suffix} and so on"))
            elif not _well_named(stem):
                expected = "four digits, from 10000 on more"
                wrong.append(Issue("name", Path(entry.path), f"the name {stem}", expected, "rename it", range(0)))
            else:
                numbers.append(int(stem))
                if entry.is_symlink():
                    wrong.extend(_link(Path(entry.path), root, range(int(stem), int(stem) + 1)))
    faults += sorted(wrong, key=lambda fault: fault.path)
    return np.sort(np.array(numbers, np.int64))


def _well_named(stem: str) -> bool:  # 00001 would double 0001, and other alphabets have digits too
    return stem.isascii() and stem.isdecimal() and len(stem) < 10 and stem == f"{int(stem):04d}"


# --- what belongs together


def _unpaired(listing: FolderIndex) -> Iterator[Issue]:
    for label, name in enumerate(CLASSES):
        both = {sensor: listing.scenes[name, sensor] for sensor in SENSORS}
        if not np.intersect1d(*both.values()).size:
            expected = "at least one rgb file with its lidar file"
            yield Issue("no-pairs", listing.folder / name, "no pairs", expected, "copy the set again")
        for lacks, has in (("rgb", "lidar"), ("lidar", "rgb")):
            for run in consecutive_ranges(np.setdiff1d(both[has], both[lacks])):
                first = pair_at(listing.folder, label, run[0])._asdict()
                found = "nothing" if len(run) == 1 else f"nothing for {len(run):,} scenes, {format_scenes(run)}"
                expected = f"the partner of {first[has]}" + (" and so on" if len(run) > 1 else "")
                yield Issue("unpaired", first[lacks], found, expected, "restore it or remove the partner", run)


def _lone(listing: FolderIndex) -> Iterator[Issue]:
    """Scenes that one class has and the other lacks: a cube and a sphere of a scene stay together."""
    known = [np.union1d(*(listing.scenes[name, sensor] for sensor in SENSORS)) for name in CLASSES]
    for name, own, other in ((CLASSES[0], known[0], known[1]), (CLASSES[1], known[1], known[0])):
        if own.size:  # an empty class is told as such
            for run in consecutive_ranges(np.setdiff1d(other, own)):
                expected = "every scene in both classes"
                fix = "restore them, or set prepare.on_error: skip to leave them out"
                yield Issue("lone-scene", listing.folder / name, f"no scene {format_scenes(run)}", expected, fix, run)


def _gaps(listing: FolderIndex) -> Iterator[Issue]:
    """Numbers that no class has: harmless, but a sign of a partial copy."""
    known = np.unique(np.concatenate(list(listing.scenes.values())))
    before = np.concatenate([[-1], known])[:-1] if known.size else known
    for last, scene in zip(before[known > before + 1], known[known > before + 1], strict=True):
        missing, expected = range(int(last) + 1, int(scene)), "every number from 0000 on"
        fix = "restore the missing scenes, if there were any"
        yield Issue("gap", listing.folder, f"a gap at {format_scenes(missing)}", expected, fix, range(0))


def _imbalance(listing: FolderIndex) -> Iterator[Issue]:
    pairs = {name: counts["pairs"] for name, counts in listing.counts().items()}
    if len(set(pairs.values())) > 1:
        found = ", ".join(f"{count:,} {name}" for name, count in pairs.items())
        expected = "as many of each: one index is one scene"
        yield Issue("imbalance", listing.folder, found, expected, "complete the shorter class", range(0))


def _angle_faults(folder: Path) -> Iterator[Issue]:
    """Both classes come from one sensor; faults of a single angle file are told here too."""
    for angle in ANGLES:
        paths, read = [folder / name / f"{angle}.npy" for name in CLASSES], []
        for path in paths:
            try:
                read.append(read_angle(path))
            except DataError as error:
                yield from error.args
        if len(read) == len(CLASSES) and not np.array_equal(*read):
            fix = "give both the files of one sensor"
            yield Issue("angles-differ", paths[1], "other angles", f"those of {paths[0]}", fix)

"""The index of a raw folder, made from its file names alone: scenes, partners, gaps, strays, links. Opens no frame."""

import os
import subprocess
import sys
from array import array
from collections.abc import Iterable, Iterator
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import NamedTuple

import numpy as np

from pipeline.core.sensors import ANGLES, CLASSES, SENSORS
from pipeline.raw.format import DataError, Issue, Pair, pair_at, read_angle

SceneNumbers = np.ndarray  # (S,) int64, rising
NO_SCENES = range(0)  # of an issue that makes no scene unusable
MAX_RANGES = 5  # ranges of scenes that one sentence lists
STRAYS = {  # code -> what it is, and the fix
    "stray": ("a stray file or folder", "move it out of the data"),
    "hidden": ("a file or folder that a system or program made for itself", "delete it: no sensor wrote it"),
    "nested": ("a folder in a folder of its kind", "`python -m pipeline import` brings such a set in as it should be"),
}
SYSTEM_FILES = {"thumbs.db", "ehthumbs.db", "desktop.ini", "__macosx", "@eadir"}  # besides hidden files


class Rows(NamedTuple):
    """The pairs of a folder as columns, in the order of the arrays: all cubes by scene, then all spheres by scene."""

    label: np.ndarray  # (N,) uint8
    scene: np.ndarray  # (N,) int64
    rgb: np.ndarray  # (N,) bool: the RGB file exists
    lidar: np.ndarray  # (N,) bool: the LiDAR file exists

    def part(self, start: int, stop: int) -> "Rows":
        """Return rows `start` .. `stop - 1`."""
        return Rows(*(column[start:stop] for column in self))

    def __len__(self) -> int:
        """Return the number of rows, not of columns."""
        return self.label.size


class FolderIndex(NamedTuple):
    """The scene numbers of a raw folder's well-named files, and the issues of all other files."""

    folder: Path
    scenes: dict[tuple[str, str], SceneNumbers]  # (class, sensor) -> scene numbers
    issues: list[Issue]

    def rows(self) -> Rows:
        """Return a row for every scene of a class that has at least one of its two files."""
        parts = []
        for label, name in enumerate(CLASSES):
            rgb, lidar = (self.scenes[name, sensor] for sensor in SENSORS)
            scene = np.union1d(rgb, lidar)
            labels = np.full(scene.size, label, np.uint8)
            parts.append(Rows(labels, scene, np.isin(scene, rgb), np.isin(scene, lidar)))
        return Rows(*map(np.concatenate, zip(*parts, strict=True)))

    def counts(self) -> dict[str, dict[str, int]]:
        """Return class -> number of files by sensor, and of pairs."""
        return {
            name: {sensor: self.scenes[name, sensor].size for sensor in SENSORS}
            | {"pairs": np.intersect1d(self.scenes[name, "rgb"], self.scenes[name, "lidar"]).size}
            for name in CLASSES
        }


def index_folder(folder: Path) -> FolderIndex:
    """Index the names, links and angle files of a raw folder. Raises nothing: every problem is in `issues`."""
    issues: list[Issue] = []
    scenes = {(name, sensor): np.empty(0, np.int64) for name in CLASSES for sensor in SENSORS}
    if not folder.is_dir():
        return FolderIndex(folder, scenes, [_missing_folder(folder)])
    issues += _entry_issues(folder, CLASSES, folder)
    for name in CLASSES:
        home = folder / name
        if not home.is_dir():
            issues.append(_missing_folder(home))
            continue
        issues += _entry_issues(home, (*SENSORS, *(f"{angle}.npy" for angle in ANGLES)), folder)
        for sensor in SENSORS:
            scenes[name, sensor] = _index_sensor(home / sensor, folder, issues)
    index = FolderIndex(folder, scenes, issues)
    if all((folder / name).is_dir() for name in CLASSES):
        issues += _pair_issues(index)
        issues += _class_issues(index)
        issues += _gap_issues(index)
        issues += _balance_issues(index)
        issues += _angle_issues(folder)
    return index


def list_pairs(folder: Path) -> list[Pair]:
    """Return the pairs that have both files, by (label, scene). Opens no frame, and leaves out the unpaired silently.

    Raises DataError if a class has no rgb or lidar folder.
    """
    index = index_folder(folder)
    missing = [issue for issue in index.issues if issue.code == "no-folder"]
    if missing:
        raise DataError(*missing)
    rows = index.rows()
    complete = np.flatnonzero(rows.rgb & rows.lidar)
    return [pair_at(folder, int(rows.label[row]), int(rows.scene[row])) for row in complete]


def consecutive_ranges(numbers: SceneNumbers) -> Iterator[range]:
    """Yield rising numbers as ranges without gaps, so that a thousand missing scenes are one line of a report."""
    for part in np.split(numbers, np.flatnonzero(np.diff(numbers) != 1) + 1):
        if part.size:
            yield range(int(part[0]), int(part[-1]) + 1)


def format_scenes(scenes: range) -> str:
    """Format a range of scene numbers as `0007` or `0007 .. 0009`."""
    return f"{scenes[0]:04d}" if len(scenes) == 1 else f"{scenes[0]:04d} .. {scenes[-1]:04d}"


def format_scene_numbers(scenes: SceneNumbers) -> str:
    """Return rising scene numbers as `0003, 0007 .. 0009`; a long list is cut and counted."""
    ranges = list(consecutive_ranges(np.asarray(scenes)))
    rest = f" and {len(ranges) - MAX_RANGES:,} more" if len(ranges) > MAX_RANGES else ""
    return ", ".join(map(format_scenes, ranges[:MAX_RANGES])) + rest


# --- one folder


def _missing_folder(path: Path) -> Issue:
    found = "a file" if path.exists() else "nothing"
    return Issue("no-folder", path, found, "a folder", "restore it or simulate a set")


def _entry_issues(folder: Path, known: Iterable[str], root: Path) -> Iterator[Issue]:
    """Yield the issues of all entries that are not in the contract, and of links that lead out of `root`."""
    with os.scandir(folder) as entries:
        ordered = sorted(entries, key=lambda entry: entry.name)
    yield from _stray_issues([entry for entry in ordered if entry.name not in known], f"only {', '.join(known)}")
    for entry in ordered:
        if entry.name in known and entry.is_symlink():
            yield from _link_issues(Path(entry.path), root, None)


def _stray_issues(entries: list[os.DirEntry], expected: str) -> Iterator[Issue]:
    """Yield the issues of entries of one folder that are not in the contract: one for each kind of them."""
    by_code: dict[str, list[os.DirEntry]] = {}
    for entry in sorted(entries, key=lambda entry: entry.name):
        by_code.setdefault(_stray_code(entry), []).append(entry)
    for code, (first, *others) in by_code.items():
        what, hint = STRAYS[code]
        names = ", ".join(entry.name for entry in others[:MAX_RANGES]) + ", ..." * (len(others) > MAX_RANGES)
        more = f", and {len(others):,} more: {names}" if others else ""
        yield Issue(code, Path(first.path), what + more, expected, hint, NO_SCENES)


def _stray_code(entry: os.DirEntry) -> str:
    if _is_of_the_system(entry.name):
        return "hidden"
    return "nested" if entry.is_dir() and entry.name in (*CLASSES, *SENSORS) else "stray"


def _is_of_the_system(name: str) -> bool:
    """Return whether an operating system or a program made a file for itself: .DS_Store, ._0000.npy, Thumbs.db."""
    return name.startswith(".") or name.lower() in SYSTEM_FILES


def _index_sensor(folder: Path, root: Path, issues: list[Issue]) -> SceneNumbers:
    """Return the scene numbers of a sensor's well-named files; append an issue for every other entry."""
    if not folder.is_dir():
        issues.append(_missing_folder(folder))
        return np.empty(0, np.int64)
    suffix, numbers, wrong, strays = SENSORS[folder.name], array("q"), [], []
    with os.scandir(folder) as entries:  # not as a list: there can be a hundred thousand
        for entry in entries:
            stem, ending = os.path.splitext(entry.name)
            if ending != suffix or _is_of_the_system(entry.name):
                strays.append(entry)
            elif not _is_scene_number(stem):
                expected = "four digits, from 10000 on more"
                wrong.append(Issue("name", Path(entry.path), f"the name {stem}", expected, "rename it", NO_SCENES))
            else:
                numbers.append(int(stem))
                if entry.is_symlink():
                    wrong.extend(_link_issues(Path(entry.path), root, range(int(stem), int(stem) + 1)))
    wrong += _stray_issues(strays, f"only 0000{suffix} and so on")
    issues += sorted(wrong, key=lambda issue: issue.path)
    return np.sort(np.array(numbers, np.int64))


def _is_scene_number(stem: str) -> bool:
    """Return whether a name is a scene number in its one form: not 00001, which equals 0001, nor other digits."""
    return stem.isascii() and stem.isdecimal() and len(stem) < 10 and stem == f"{int(stem):04d}"


# --- links


def _link_issues(path: Path, root: Path, scenes: range | None) -> Iterator[Issue]:
    """Yield an issue for a link to nothing, and for one out of the data set: its target can change unnoticed.

    Links into DVC's cache are what `dvc checkout` makes where cache.type is symlink; DVC vouches for their targets.
    """
    target = path.resolve()
    if not target.exists():
        yield Issue("broken-link", path, f"a link to {target}, where nothing is", "a file", "restore it", scenes)
    elif not (target.is_relative_to(root.resolve()) or _is_cached(target)):
        hint = "copy the target to the place of the link"
        yield Issue("link-outside", path, f"a link to {target}", "a file inside the data set", hint, scenes)


def _is_cached(target: Path) -> bool:
    directory = _dvc_cache(Path.cwd())
    return directory is not None and target.is_relative_to(directory)


@cache
def _dvc_cache(project: Path) -> Path | None:
    """Return the cache directory of the DVC project at `project`, None if there is none; takes half a second.

    The project is the user's, in the working directory: a configuration that came with the data is not trusted.
    """
    command = [sys.executable, "-m", "dvc", "cache", "dir"]
    answer = subprocess.run(command, cwd=project, capture_output=True, text=True)
    return Path(answer.stdout.strip()).resolve() if answer.returncode == 0 else None


# --- the folder as a whole


def _pair_issues(index: FolderIndex) -> Iterator[Issue]:
    """Yield an issue for every range of scenes that lack one sensor's file, and for a class without any pair."""
    for label, name in enumerate(CLASSES):
        numbers = {sensor: index.scenes[name, sensor] for sensor in SENSORS}
        if not np.intersect1d(numbers["rgb"], numbers["lidar"]).size:
            expected = "at least one rgb file with its lidar file"
            yield Issue("no-pairs", index.folder / name, "no pairs", expected, "copy the set again")
        for missing, present in (("rgb", "lidar"), ("lidar", "rgb")):
            for scenes in consecutive_ranges(np.setdiff1d(numbers[present], numbers[missing])):
                first = pair_at(index.folder, label, scenes[0])._asdict()
                many = len(scenes) > 1
                found = f"nothing for {len(scenes):,} scenes, {format_scenes(scenes)}" if many else "nothing"
                expected = f"the partner of {first[present]}" + (" and so on" if many else "")
                yield Issue("unpaired", first[missing], found, expected, "restore it or remove the partner", scenes)


def _class_issues(index: FolderIndex) -> Iterator[Issue]:
    """Yield an issue for every range of scenes that one class lacks: a scene's cube and sphere stay together."""
    first, second = (np.union1d(*(index.scenes[name, sensor] for sensor in SENSORS)) for name in CLASSES)
    for name, own, other in ((CLASSES[0], first, second), (CLASSES[1], second, first)):
        if own.size:  # an empty class has the issue no-pairs
            for scenes in consecutive_ranges(np.setdiff1d(other, own)):
                found, expected = f"no scene {format_scenes(scenes)}", "every scene in both classes"
                hint = "restore them, or set prepare.on_error: skip to leave them out"
                yield Issue("lone-scene", index.folder / name, found, expected, hint, scenes)


def _gap_issues(index: FolderIndex) -> Iterator[Issue]:
    """Yield an issue for numbers that no class has: harmless, but the mark of a partial copy."""
    numbers = np.unique(np.concatenate(list(index.scenes.values())))
    before = np.concatenate([[-1], numbers])[:-1]
    for last, scene in zip(before[numbers > before + 1], numbers[numbers > before + 1], strict=True):
        found, expected = f"a gap at {format_scenes(range(int(last) + 1, int(scene)))}", "every number from 0000 on"
        yield Issue("gap", index.folder, found, expected, "restore the missing scenes, if there were any", NO_SCENES)


def _balance_issues(index: FolderIndex) -> Iterator[Issue]:
    pairs = {name: counts["pairs"] for name, counts in index.counts().items()}
    if len(set(pairs.values())) > 1:
        found = ", ".join(f"{count:,} {name}" for name, count in pairs.items())
        expected = "as many of each: one index is one scene"
        yield Issue("imbalance", index.folder, found, expected, "complete the shorter class", NO_SCENES)


def _angle_issues(folder: Path) -> Iterator[Issue]:
    """Yield the issues of every angle file, and one where the classes have different angles: one sensor made both."""
    for angle in ANGLES:
        paths, angles = [folder / name / f"{angle}.npy" for name in CLASSES], []
        for path in paths:
            try:
                angles.append(read_angle(path))
            except DataError as error:
                hint = "restore it, or let `python -m pipeline import --known-angles` write the set anew"
                yield from (replace(issue, hint=hint) if issue.code == "missing" else issue for issue in error.args)
        if len(angles) == len(CLASSES) and not np.array_equal(angles[0], angles[1]):
            hint = "give both the files of one sensor"
            yield Issue("angles-differ", paths[1], "other angles", f"those of {paths[0]}", hint)

"""Which scenes of a source are whole, what the others lack, and which are drawn. Goes by names; reads no frame."""

from collections.abc import Iterator, Mapping
from typing import NamedTuple

import numpy as np

from pipeline.core.sensors import ANGLES, CLASSES, SENSORS
from pipeline.raw.format import DataError, Issue
from pipeline.raw.index import SceneNumbers, consecutive_ranges, format_scenes
from pipeline.tools.importers.source import Source

NAMED = 5  # runs of scenes that a sentence names


class Inventory(NamedTuple):
    """Scene numbers of a source by (class, sensor), and what keeps some of them, or all, from being whole."""

    scenes: dict[tuple[str, str], SceneNumbers]
    incomplete: list[Issue]
    angles: list[Issue]  # without them no scene is of use

    def known(self) -> SceneNumbers:
        """Scenes that have any file."""
        return np.unique(np.concatenate(list(self.scenes.values())))

    def whole(self) -> SceneNumbers:
        """Scenes with both sensors' frames in both classes."""
        scenes = self.known()
        for own in self.scenes.values():
            scenes = np.intersect1d(scenes, own)
        return scenes

    def pairs(self) -> str:
        """How many of each class, for people."""
        both = {name: np.intersect1d(*(self.scenes[name, sensor] for sensor in SENSORS)).size for name in CLASSES}
        return ", ".join(f"{count:,} {name}" for name, count in both.items())


def take_inventory(source: Source) -> Inventory:
    """The scenes of a source, by the names of its files."""
    scenes = _by_sensor(source.files)
    stock = Inventory(scenes, [], [])
    known = stock.known()
    for (name, sensor), own in scenes.items():
        lacks = np.setdiff1d(known, own)
        if lacks.size:
            place = source.place(f"{name}/{sensor}/{lacks[0]:04d}{SENSORS[sensor]}").parent
            found = f"{own.size:,} files, and none for {lacks.size:,} scenes: {format_inventory(lacks)}"
            fix = "restore them, or leave out what is not whole with --skip"
            fault = Issue("incomplete", place, found, f"one for each of {known.size:,} scenes", fix, range(0))
            stock.incomplete.append(fault)
    stock.angles.extend(_absent_angles(source))
    return stock


def _by_sensor(files: Mapping[str, str]) -> dict[tuple[str, str], SceneNumbers]:
    numbers: dict[tuple[str, str], list[int]] = {(name, sensor): [] for name in CLASSES for sensor in SENSORS}
    for contract in files:
        name, sensor, *file = contract.split("/")
        if file:
            numbers[name, sensor].append(int(file[0].partition(".")[0]))
    return {at: np.sort(np.array(found, np.int64)) for at, found in numbers.items()}


def _absent_angles(source: Source) -> Iterator[Issue]:
    for name in CLASSES:
        for angle in ANGLES:
            if f"{name}/{angle}.npy" not in source.files:
                fix = "restore it; both classes come from one sensor, so that a copy of the other's will do"
                place = source.place(f"{name}/{angle}.npy")
                yield Issue("missing", place, "nothing", "the angles of the LiDAR's rays", fix)


def sample_scenes(whole: SceneNumbers, scenes: int | None, seed: int, source: Source) -> SceneNumbers:
    """Whole scenes in the order in which they are taken: all rising, or by lot where `scenes` of them are asked for.

    Raises DataError when there are fewer.
    """
    if scenes is None:
        return whole
    if scenes > whole.size:
        expected, fix = f"at least the {scenes:,} asked for", f"ask for {whole.size:,} or fewer"
        raise DataError(Issue("asked", source.root(), f"{whole.size:,} whole scenes", expected, fix))
    return np.random.default_rng(seed).permutation(whole)


def format_inventory(scenes: SceneNumbers) -> str:
    """`0003, 0007 .. 0009`, a long list cut and counted."""
    ranges = list(consecutive_ranges(np.asarray(scenes)))
    more = f" and {len(ranges) - NAMED:,} more" if len(ranges) > NAMED else ""
    return ", ".join(map(format_scenes, ranges[:NAMED])) + more

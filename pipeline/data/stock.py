"""Which scenes of a source are whole, what the others lack, and which are drawn. Goes by names; reads no frame."""

from collections.abc import Iterator, Mapping
from typing import NamedTuple

import numpy as np

from pipeline.data.listing import Scenes, named, runs
from pipeline.data.raw import ANGLES, CLASSES, SENSORS, DataError, Fault
from pipeline.data.sources import Source

NAMED = 5  # runs of scenes that a sentence names


class Stock(NamedTuple):
    """Scene numbers of a source by (class, sensor), and what keeps some of them, or all, from being whole."""

    scenes: dict[tuple[str, str], Scenes]
    incomplete: list[Fault]
    angles: list[Fault]  # without them no scene is of use

    def known(self) -> Scenes:
        """Scenes that have any file."""
        return np.unique(np.concatenate(list(self.scenes.values())))

    def whole(self) -> Scenes:
        """Scenes with both sensors' frames in both classes."""
        scenes = self.known()
        for own in self.scenes.values():
            scenes = np.intersect1d(scenes, own)
        return scenes

    def pairs(self) -> str:
        """How many of each class, for people."""
        both = {name: np.intersect1d(*(self.scenes[name, sensor] for sensor in SENSORS)).size for name in CLASSES}
        return ", ".join(f"{count:,} {name}" for name, count in both.items())


def take_stock(source: Source) -> Stock:
    """The scenes of a source, by the names of its files."""
    scenes = _by_sensor(source.files)
    stock = Stock(scenes, [], [])
    known = stock.known()
    for (name, sensor), own in scenes.items():
        lacks = np.setdiff1d(known, own)
        if lacks.size:
            place = source.place(f"{name}/{sensor}/{lacks[0]:04d}{SENSORS[sensor]}").parent
            found = f"{own.size:,} files, and none for {lacks.size:,} scenes: {told(lacks)}"
            fix = "restore them, or leave out what is not whole with --skip"
            fault = Fault("incomplete", place, found, f"one for each of {known.size:,} scenes", fix, range(0))
            stock.incomplete.append(fault)
    stock.angles.extend(_absent_angles(source))
    return stock


def _by_sensor(files: Mapping[str, str]) -> dict[tuple[str, str], Scenes]:
    numbers: dict[tuple[str, str], list[int]] = {(name, sensor): [] for name in CLASSES for sensor in SENSORS}
    for contract in files:
        name, sensor, *file = contract.split("/")
        if file:
            numbers[name, sensor].append(int(file[0].partition(".")[0]))
    return {at: np.sort(np.array(found, np.int64)) for at, found in numbers.items()}


def _absent_angles(source: Source) -> Iterator[Fault]:
    for name in CLASSES:
        for angle in ANGLES:
            if f"{name}/{angle}.npy" not in source.files:
                fix = "restore it; both classes come from one sensor, so that a copy of the other's will do"
                place = source.place(f"{name}/{angle}.npy")
                yield Fault("missing", place, "nothing", "the angles of the LiDAR's rays", fix)


def draw(whole: Scenes, scenes: int | None, seed: int, source: Source) -> Scenes:
    """Whole scenes in the order in which they are taken: all rising, or by lot where `scenes` of them are asked for.

    Raises DataError when there are fewer.
    """
    if scenes is None:
        return whole
    if scenes > whole.size:
        expected, fix = f"at least the {scenes:,} asked for", f"ask for {whole.size:,} or fewer"
        raise DataError(Fault("asked", source.root(), f"{whole.size:,} whole scenes", expected, fix))
    return np.random.default_rng(seed).permutation(whole)


def told(scenes: Scenes) -> str:
    """`0003, 0007 .. 0009`, a long list cut and counted."""
    ranges = list(runs(np.asarray(scenes)))
    more = f" and {len(ranges) - NAMED:,} more" if len(ranges) > NAMED else ""
    return ", ".join(map(named, ranges[:NAMED])) + more

"""Which scenes of a source are complete, what the others lack, which are drawn: by file names, no frame is read."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import NamedTuple

import numpy as np

from pipeline.core.sensors import ANGLES, CLASSES, SENSORS
from pipeline.raw.format import DataError, Issue
from pipeline.raw.index import SceneNumbers, format_scene_numbers
from pipeline.tools.importers.source import Source


class Inventory(NamedTuple):
    """The scene numbers of a source by (class, sensor), and what is missing."""

    scenes: dict[tuple[str, str], SceneNumbers]
    incomplete: list[Issue]  # a sensor folder that lacks frames of some scenes
    absent_angles: list[Issue]  # without the angles no scene is of use

    def all_scenes(self) -> SceneNumbers:
        """Return the scenes that have at least one frame."""
        return np.unique(np.concatenate(list(self.scenes.values())))

    def complete_scenes(self) -> SceneNumbers:
        """Return the scenes that have the frames of both sensors in both classes."""
        scenes = self.all_scenes()
        for numbers in self.scenes.values():
            scenes = np.intersect1d(scenes, numbers)
        return scenes

    def describe(self) -> str:
        """Return the number of pairs in each class, for messages."""
        pairs = {name: np.intersect1d(self.scenes[name, "rgb"], self.scenes[name, "lidar"]) for name in CLASSES}
        return ", ".join(f"{scenes.size:,} {name}" for name, scenes in pairs.items())


def take_inventory(source: Source) -> Inventory:
    """Return the scenes of a source by the names of its files, with an issue for each folder that lacks some."""
    inventory = Inventory(_scenes_by_sensor(source.files), [], list(_absent_angles(source)))
    expected = inventory.all_scenes()
    for (name, sensor), numbers in inventory.scenes.items():
        missing = np.setdiff1d(expected, numbers)
        if missing.size:
            path = source.display_path(f"{name}/{sensor}/{missing[0]:04d}{SENSORS[sensor]}").parent
            found = f"{numbers.size:,} files, and none for {missing.size:,} scenes: {format_scene_numbers(missing)}"
            hint = "restore them, or leave out incomplete scenes with --skip"
            issue = Issue("incomplete", path, found, f"one for each of {expected.size:,} scenes", hint, range(0))
            inventory.incomplete.append(issue)
    return inventory


def _scenes_by_sensor(files: Mapping[str, str]) -> dict[tuple[str, str], SceneNumbers]:
    numbers: dict[tuple[str, str], list[int]] = {(name, sensor): [] for name in CLASSES for sensor in SENSORS}
    for raw_path in files:
        name, sensor, *file = raw_path.split("/")
        if file:
            numbers[name, sensor].append(int(file[0].partition(".")[0]))
    return {key: np.sort(np.array(scenes, np.int64)) for key, scenes in numbers.items()}


def _absent_angles(source: Source) -> Iterator[Issue]:
    for name in CLASSES:
        for angle in ANGLES:
            if f"{name}/{angle}.npy" not in source.files:
                path = source.display_path(f"{name}/{angle}.npy")
                hint = (
                    "restore it (both classes come from one sensor, so that a copy of the other's will do), "
                    "or add --known-angles if the course's LiDAR recorded the set"
                )
                yield Issue("missing", path, "nothing", "the angles of the LiDAR's rays", hint)


def sample_scenes(complete: SceneNumbers, count: int | None, seed: int, source: Source) -> SceneNumbers:
    """Return complete scenes in the order in which they are imported: rising, or at random where `count` is given.

    Raises DataError when there are fewer than `count`.
    """
    if count is None:
        return complete
    if count > complete.size:
        expected, hint = f"at least the {count:,} asked for", f"ask for {complete.size:,} or fewer"
        raise DataError(Issue("request", Path(source.title), f"{complete.size:,} complete scenes", expected, hint))
    return np.random.default_rng(seed).permutation(complete)

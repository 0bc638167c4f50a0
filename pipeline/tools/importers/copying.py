"""Frames and angle files copied from a source. Each is parsed first, and appears whole or not at all.

Bytes are not changed, except that a picture without an alpha channel gets an opaque one.
"""

import os
from collections.abc import Callable, Collection
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import numpy as np
from tqdm import tqdm

from pipeline.core.sensors import ANGLES, CLASSES, SENSORS
from pipeline.raw.format import DataError, Issue, parse_angle, parse_depth, parse_rgb
from pipeline.raw.index import SceneNumbers
from pipeline.tools.importers.alpha import add_alpha
from pipeline.tools.importers.source import Source

Save = Callable[[str, bytes, bool], None]  # (raw path, content, whether it differs from the source's)
THREADS = 8  # a frame on a mounted drive takes half a second, most of it waiting
PARSERS = {"rgb": parse_rgb, "lidar": parse_depth}
ALPHA_MARK = "alpha-added"  # a file beside the frames: at least one of them got an alpha channel
SENSOR_FOLDERS = [f"{name}/{sensor}" for name in CLASSES for sensor in SENSORS]


def check_frames(source: Source, scenes: SceneNumbers) -> list[Issue]:
    """Return all issues of the frames of some scenes. Frames that the source lacks are the inventory's subject."""
    return _read_frames(source, scenes, "check", [], lambda raw_path, content, changed: None)


def copy_frames(source: Source, scenes: SceneNumbers, folder: Path) -> list[Issue]:
    """Write the valid frames of some scenes below a folder, except those already there; return the others' issues.

    The file ALPHA_MARK beside the folder records that a picture got an alpha channel.
    """
    for name in SENSOR_FOLDERS:
        (folder / name).mkdir(parents=True, exist_ok=True)
    existing = {f"{name}/{file}" for name in SENSOR_FOLDERS for file in os.listdir(folder / name)}

    def save(raw_path: str, content: bytes, changed: bool) -> None:
        if changed:  # noted first: a killed import leaves no changed frame without the mark
            folder.with_name(ALPHA_MARK).touch()
        _write(folder / raw_path, content)

    return _read_frames(source, scenes, "import", existing, save)


def _read_frames(source: Source, scenes: SceneNumbers, task: str, existing: Collection[str], save: Save) -> list[Issue]:
    """Parse the frames of some scenes in the source's own order, which is the fastest to read; save the valid ones."""
    wanted = set(scenes.tolist())
    stems = dict.fromkeys(raw_path.partition(".")[0].replace("/lidar/", "/rgb/") for raw_path in source.files)
    pairs = [stem for stem in stems if "/rgb/" in stem and int(stem.rpartition("/")[2]) in wanted]  # cubes/rgb/0000

    def read_pair(pair: str) -> list[Issue]:
        raw_paths = (pair.replace("/rgb/", f"/{sensor}/") + suffix for sensor, suffix in SENSORS.items())
        present = [raw_path for raw_path in raw_paths if raw_path in source.files and raw_path not in existing]
        return [issue for raw_path in present for issue in _read_frame(source, raw_path, save)]

    pool, issues = ThreadPoolExecutor(THREADS), []
    try:
        for new in tqdm(pool.map(read_pair, pairs), task, len(pairs), unit="pair", disable=None):
            issues += new
    finally:
        pool.shutdown(cancel_futures=True)
    return issues


def _read_frame(source: Source, raw_path: str, save: Save) -> list[Issue]:
    _, sensor, file = raw_path.split("/")
    try:
        original, path = source.read(source.files[raw_path]), source.display_path(raw_path)
        content = add_alpha(path, original) if sensor == "rgb" else original
        PARSERS[sensor](path, content)
    except DataError as error:
        scene = int(file.partition(".")[0])
        return [replace(issue, scenes=range(scene, scene + 1)) for issue in error.args]
    save(raw_path, content, content is not original)
    return []


def copy_angles(source: Source, folder: Path) -> list[Issue]:
    """Write the valid angle files of a source below a folder; return the issues of the others.

    Angle files that the source lacks are the inventory's subject.
    """
    issues: list[Issue] = []
    angles: dict[str, np.ndarray] = {}
    for raw_path in (f"{name}/{angle}.npy" for angle in ANGLES for name in CLASSES):
        if raw_path not in source.files:
            continue
        try:
            content = source.read(source.files[raw_path])
            angles[raw_path] = parse_angle(source.display_path(raw_path), content)
        except DataError as error:
            issues += error.args
            continue
        (folder / raw_path).parent.mkdir(parents=True, exist_ok=True)
        _write(folder / raw_path, content)
    for angle in ANGLES:
        first, second = (f"{name}/{angle}.npy" for name in CLASSES)
        if {first, second} <= angles.keys() and not np.array_equal(angles[first], angles[second]):
            expected, hint = f"those of {source.display_path(first)}", "give both the files of one sensor"
            issues.append(Issue("angles-differ", source.display_path(second), "other angles", expected, hint))
    return issues


def _write(path: Path, content: bytes) -> None:
    part = path.with_name(f".{path.name}.part")  # a fixed name: the next import overwrites what a killed one left
    part.write_bytes(content)
    os.replace(part, path)

"""Frames and angle files copied from a source byte for byte, each parsed on the way, each whole or not at all."""

import os
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import numpy as np
from tqdm import tqdm

from pipeline.core.sensors import ANGLES, CLASSES, SENSORS
from pipeline.raw.format import DataError, Issue, parse_angle, parse_depth, parse_rgb
from pipeline.raw.index import SceneNumbers
from pipeline.tools.importers.source import Source

THREADS = 8  # a frame on a mounted drive takes half a second, most of it waiting
PARSE = {"rgb": parse_rgb, "lidar": parse_depth}


def copy_frames(source: Source, scenes: SceneNumbers, frames: Path | None) -> list[Issue]:
    """All that is wrong with the frames of some scenes; those that are right are written below `frames`, if given."""
    homes = [f"{name}/{sensor}" for name in CLASSES for sensor in SENSORS]
    for home in homes if frames else []:
        (frames / home).mkdir(parents=True, exist_ok=True)
    there = {f"{home}/{name}" for home in homes for name in (os.listdir(frames / home) if frames else [])}
    wanted = set(scenes.tolist())
    # in the source's own order, which is the quickest to read
    pairs = {contract.replace("/lidar/", "/rgb/").partition(".")[0]: None for contract in source.files}
    pairs = [pair for pair in pairs if "/rgb/" in pair and int(pair.rpartition("/")[2]) in wanted]

    def copy(pair: str) -> list[Issue]:
        return [fault for sensor in SENSORS for fault in _copy_frame(source, pair, sensor, frames, there)]

    pool, faults = ThreadPoolExecutor(THREADS), []
    try:
        for fresh in tqdm(pool.map(copy, pairs), "import" if frames else "read", len(pairs), unit="pair", disable=None):
            faults += fresh
    finally:
        pool.shutdown(cancel_futures=True)
    return faults


def _copy_frame(source: Source, pair: str, sensor: str, frames: Path | None, there: set[str]) -> list[Issue]:
    """`pair` is `cubes/rgb/0000`. A frame that the source lacks is told elsewhere."""
    contract = pair.replace("/rgb/", f"/{sensor}/") + SENSORS[sensor]
    if contract in there or contract not in source.files:
        return []
    try:
        content = source.read(source.files[contract])
        PARSE[sensor](source.place(contract), content)
    except DataError as error:
        scene = int(pair.rpartition("/")[2])
        return [replace(fault, scenes=range(scene, scene + 1)) for fault in error.args]
    if frames:
        _write(frames / contract, content)
    return []


def copy_angles(source: Source, frames: Path) -> list[Issue]:
    """Angle files, written if right; what is wrong with them. An absent one is told elsewhere."""
    faults, read = [], {}
    for contract in (f"{name}/{angle}.npy" for angle in ANGLES for name in CLASSES):
        place = source.place(contract)
        try:
            if contract in source.files:
                content = source.read(source.files[contract])
                read[contract] = parse_angle(place, content)
                (frames / contract).parent.mkdir(parents=True, exist_ok=True)
                _write(frames / contract, content)
        except DataError as error:
            faults += error.args
    for angle in ANGLES:
        first, second = (f"{name}/{angle}.npy" for name in CLASSES)
        if {first, second} <= set(read) and not np.array_equal(read[first], read[second]):
            expected, fix = f"those of {source.place(first)}", "give both the files of one sensor"
            faults.append(Issue("angles-differ", source.place(second), "other angles", expected, fix))
    return faults


def _write(path: Path, content: bytes) -> None:
    part = path.with_name(f".{path.name}.part")
    part.write_bytes(content)
    os.replace(part, path)

"""FiftyOneDataset folders that hold no such set, contradict themselves, or were made to harm."""

import base64
import json
import zlib
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from pipeline.core.sensors import CLASSES
from pipeline.raw.format import DataError
from pipeline.tools.importers.formats.fiftyone_export import open_fiftyone
from support import faults
from support.fiftyone_exports import heatmap, npy, sample, write_export


def text(content: str) -> Callable[[Path], object]:
    return lambda folder: (folder / "samples.json").write_text(content)


def path_of(path: str) -> Callable[[Path], object]:
    return lambda folder: write_export(folder, [sample("a", "rgb", path, label={"label": "cube"}, scene=0)])


def looped(folder: Path) -> None:
    (folder / "loop.png").symlink_to("loop.png")
    path_of("loop.png")(folder)


def two_sensors(folder: Path) -> None:
    write_export(folder, [GROUP])
    for number, name in enumerate(CLASSES):
        (folder / name).mkdir()
        (folder / name / "azimuth.npy").write_bytes(npy(np.arange(64, dtype=np.float32) + number))


def linked(folder: Path) -> None:
    (folder / "out.png").symlink_to("/etc/hostname")
    path_of("out.png")(folder)


GROUP = sample("a", "rgb", "0000.png", label={"label": "cube"})
REFUSED = {
    "cut": (text(json.dumps({"samples": [GROUP, GROUP]})[:-30]), "samples.json: found"),
    "not its form": (text('{"images": []}'), "expected what FiftyOne exports"),
    "no JSON": (text("<html>"), "expected what FiftyOne exports"),
    "brackets without end": (text('{"samples": [' + "[" * 200_000), "expected what FiftyOne exports"),
    "not grouped": (text('{"samples": [{"filepath": "a.png"}]}'), "is it a grouped data set"),
    "no sample": (text('{"samples": []}'), "no such groups"),
    "no class": (lambda f: write_export(f, [sample("a", "rgb", "0000.png")]), "no such groups"),
    "path up": (path_of("../0000.png"), "the path ../0000.png; expected one inside"),
    "path from the root": (path_of("/etc/0000.png"), "the path /etc/0000.png; expected one inside"),
    "path up on Windows": (path_of("data\\..\\..\\0000.png"), "the path data/../../0000.png; expected one inside"),
    "path of a drive": (
        path_of("C:\\set\\0000.png"),
        "the path C:/set/0000.png; expected one inside the folder; export",
    ),
    "path by a link": (linked, "the path out.png; expected one inside"),
    "path that is no text": (path_of("a\0.png"), "expected one inside"),
    "path of half a character": (
        text(json.dumps({"samples": [GROUP | {"filepath": "0\ud800.png"}]})),
        "expected one inside",
    ),
    "path by a link to itself": (looped, "the path loop.png; expected one inside"),
    "two classes of a group": (
        lambda f: write_export(f, [GROUP, sample("a", "lidar", "0000.npy", label={"label": "sphere"})]),
        "label 0 and 1 in one group, with 0000.png",
    ),
    "two sensors": (two_sensors, "spheres/azimuth.npy: found other angles; expected those of"),
    "two scenes of a group": (
        lambda f: write_export(f, [GROUP | {"filepath": "data/0003.png"}, sample("a", "lidar", "data/0017.npy")]),
        "data/0003.png and data/0017.npy in one group; expected files of one scene and class",
    ),
    "two scenes of a group on Windows": (
        lambda f: write_export(
            f, [GROUP | {"filepath": "set7\\rgb\\0003.png"}, sample("a", "lidar", "set7\\lidar\\0017.npy")]
        ),
        "set7/rgb/0003.png and set7/lidar/0017.npy in one group",
    ),
    "two classes of a group by its folders": (
        lambda f: write_export(
            f, [GROUP | {"filepath": "cubes/0003.png"}, sample("a", "lidar", "spheres/0003.npy", label=GROUP["label"])]
        ),
        "cubes/0003.png and spheres/0003.npy in one group; expected files of one scene and class",
    ),
    "two scenes of a group with a name": (
        lambda f: write_export(
            f, [GROUP | {"filepath": "0003-2.png"}, sample("a", "lidar", "cubes-0017-2.npy", scene=3)]
        ),
        "0003-2.png and cubes-0017-2.npy in one group",
    ),
    "two scenes of a depth map": (
        lambda f: write_export(f, [GROUP, sample("a", "lidar", "0001.png", depth=heatmap(b""))]),
        "0000.png and 0001.png in one group",
    ),
    "scene twice": (
        lambda f: write_export(f, [GROUP, GROUP | {"group": {"_id": "b", "name": "rgb"}, "filepath": "b/0000.png"}]),
        "two groups for cubes/rgb/0000.png",
    ),
    "angles that are none": (lambda f: write_export(f, [GROUP], {"azimuth": ["a"]}), "metadata.json: found"),
}


@pytest.mark.parametrize("plant, words", REFUSED.values(), ids=REFUSED)
def test_what_is_no_such_set_is_refused_by_name(tmp_path: Path, plant: Callable, words: str) -> None:
    (tmp_path / "metadata.json").write_text("{}")
    plant(tmp_path)
    with pytest.raises(DataError) as caught:
        open_fiftyone(tmp_path)
    assert words in str(caught.value) and "\n" not in str(caught.value)


HOSTILE_MAPS = {
    "more than a frame": zlib.compress(bytes(64 << 20)),
    "no zlib": b"no zlib",
    "objects": zlib.compress(faults.header("(64, 64)", "'|O'") + bytes(16384)),
    "another shape": zlib.compress(npy(np.zeros((2, 2), np.float32))),
}


@pytest.mark.parametrize("packed", HOSTILE_MAPS.values(), ids=HOSTILE_MAPS)
def test_a_depth_map_that_is_none_is_refused_when_it_is_read(tmp_path: Path, packed: bytes) -> None:
    map_ = {"map": {"$binary": {"base64": base64.b64encode(packed).decode()}}}
    lidar = sample("a", "lidar", "b.png", depth=map_)
    source = open_fiftyone(write_export(tmp_path, [GROUP, lidar]))
    with pytest.raises(DataError):
        source.read(source.files["cubes/lidar/0000.npy"])

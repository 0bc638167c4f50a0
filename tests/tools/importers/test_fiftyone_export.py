"""FiftyOneDataset folders written by hand, ours and foreign ones, and such as were made to harm."""

import base64
import io
import json
import os
import zlib
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

from pipeline.core.sensors import CLASS_NAMES, CLASSES
from pipeline.data.geometry import ray_directions
from pipeline.raw.format import DataError, pair_at, read_angles, read_depth
from pipeline.render.images import point_cloud, to_camera_view
from pipeline.tools.importers.formats.fiftyone_export import POINTS_NOTE, open_fiftyone
from pipeline.tools.importers.formats.fiftyone_samples import CHUNK_BYTES
from pipeline.tools.importers.formats.pointcloud import write_pcd
from pipeline.tools.importers.import_dataset import import_dataset
from support import faults
from support.sets import same


def npy(array: np.ndarray) -> bytes:
    file = io.BytesIO()
    np.save(file, array)
    return file.getvalue()


def heatmap(data: bytes) -> dict:
    return {"_cls": "Heatmap", "map": {"$binary": {"base64": base64.b64encode(zlib.compress(data)).decode()}}}


def sample(group: str, slice_: str, path: str, **fields: object) -> dict:
    return {"filepath": path, "tags": [], "group": {"_id": {"$oid": group}, "name": slice_}, **fields}


def write(folder: Path, samples: list[dict], info: dict | None = None, indent: int | None = None) -> Path:
    (folder / "metadata.json").write_text(json.dumps({"name": "set", "info": info or {}}))
    (folder / "samples.json").write_text(json.dumps({"samples": samples}, indent=indent, ensure_ascii=False))
    return folder


def angles(source: Path) -> dict[str, list[float]]:
    return dict(zip(("azimuth", "zenith"), (each.tolist() for each in read_angles(source, "cubes")), strict=True))


Lidar = Callable[[Path, np.ndarray, str], dict]  # folder, ranges, stem -> sample fields and its path


def exported(source: Path, folder: Path, lidar: Lidar, info: dict, **fields: object) -> Path:
    """Both classes of six scenes as groups of a picture and what `lidar` makes of the ranges."""
    samples = []
    (folder / "data").mkdir()
    for label, name in enumerate(CLASSES):
        for scene in range(6):
            pair, group = pair_at(source, label, scene), f"{label}-{scene}"
            picture = f"data/{scene:04d}{'-2' if label else ''}.png"
            (folder / picture).write_bytes(pair.rgb.read_bytes())
            class_ = {"ground_truth": {"_cls": "Classification", "label": CLASS_NAMES[label]}}
            samples.append(sample(group, "rgb", picture, **class_, **fields))
            made = lidar(folder, read_depth(pair.lidar), f"{name}-{scene:04d}")
            samples.append(sample(group, "lidar", **made, **class_))
    return write(folder, samples, info)


def by_map(folder: Path, depth: np.ndarray, stem: str) -> dict:
    (folder / f"data/{stem}.png").write_bytes(b"a coloured picture")
    return {"path": f"data/{stem}.png", "depth": heatmap(npy(np.ascontiguousarray(to_camera_view(depth))))}


def by_npy(folder: Path, depth: np.ndarray, stem: str) -> dict:
    (folder / f"data/{stem}.npy").write_bytes(npy(depth))
    return {"path": f"data/{stem}.npy"}


def by_cloud(folder: Path, depth: np.ndarray, stem: str) -> dict:
    grid = torch.tensor(np.deg2rad(0.5 * np.arange(-32, 32)).astype(np.float32))
    write_pcd(folder / f"data/{stem}.pcd", *point_cloud(depth, ray_directions(grid, grid).numpy()))
    return {"path": f"data/{stem}.pcd"}


def by_scene(folder: Path, depth: np.ndarray, stem: str) -> dict:
    by_cloud(folder, depth, stem)
    (folder / f"data/{stem}.fo3d").write_text(json.dumps({"children": [{"pcdPath": f"{stem}.pcd"}]}))
    return {"path": f"data/{stem}.fo3d"}


def read(folder: Path) -> dict[str, bytes]:
    source = open_fiftyone(folder)
    return {contract: source.read(inside) for contract, inside in source.files.items()}


def contents(folder: Path) -> dict[str, bytes]:
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*.*")}


# --- what is read


@pytest.mark.parametrize("lidar", [by_map, by_npy])
def test_exact_ranges_come_back_to_the_byte(raw_folder: Path, tmp_path: Path, lidar: Lidar) -> None:
    info = angles(raw_folder) | {"depth_turned": lidar is by_map}
    assert read(exported(raw_folder, tmp_path, lidar, info)) == contents(raw_folder)
    assert open_fiftyone(tmp_path).notes == ()


@pytest.mark.parametrize("lidar", [by_cloud, by_scene])
def test_ranges_are_rebuilt_from_points_and_it_is_noted(raw_folder: Path, tmp_path: Path, lidar: Lidar) -> None:
    found = read(exported(raw_folder, tmp_path, lidar, angles(raw_folder)))
    for contract, content in contents(raw_folder).items():
        if "/lidar/" in contract:
            rebuilt, exact = (np.load(io.BytesIO(each)) for each in (found[contract], content))
            assert ((rebuilt < 50) == (exact < 50)).all() and np.abs(rebuilt - exact).max() < 1e-5
        else:
            assert found[contract] == content
    assert open_fiftyone(tmp_path).notes == (POINTS_NOTE,)


def test_angles_may_lie_beside(raw_folder: Path, tmp_path: Path) -> None:
    exported(raw_folder, tmp_path, by_cloud, {})
    with pytest.raises(DataError, match="points alone; expected angles"):
        read(tmp_path)
    for angle in ("azimuth", "zenith"):
        (tmp_path / f"{angle}.npy").write_bytes((raw_folder / f"cubes/{angle}.npy").read_bytes())
    assert set(read(tmp_path)) == set(contents(raw_folder))


def test_angles_may_be_given_class_by_class(raw_folder: Path, tmp_path: Path) -> None:
    info = {f"{angle}_{name}": values for angle, values in angles(raw_folder).items() for name in CLASSES}
    source = open_fiftyone(exported(raw_folder, tmp_path, by_npy, info))
    assert {raw_path: source.read(member) for raw_path, member in source.files.items()} == contents(raw_folder)
    assert source.display_path("spheres/zenith.npy") == tmp_path / "metadata.json#zenith_spheres"
    import_dataset(str(tmp_path), tmp_path / "imported")
    assert same(tmp_path / "imported", raw_folder)


def test_points_are_placed_by_the_angles_of_their_class(raw_folder: Path, tmp_path: Path) -> None:
    info = {f"{angle}_cubes": values for angle, values in angles(raw_folder).items()}
    source = open_fiftyone(exported(raw_folder, tmp_path, by_cloud, info))
    assert np.load(io.BytesIO(source.read(source.files["cubes/lidar/0000.npy"]))).shape == (64, 64)
    with pytest.raises(DataError, match="points alone; expected angles"):
        source.read(source.files["spheres/lidar/0000.npy"])


def test_angles_that_differ_between_the_classes_are_refused(raw_folder: Path, tmp_path: Path) -> None:
    info = {f"{angle}_{name}": values for angle, values in angles(raw_folder).items() for name in CLASSES}
    info["zenith_spheres"] = [2 * value for value in info["zenith_spheres"]]
    exported(raw_folder, tmp_path, by_npy, info)
    with pytest.raises(DataError, match="metadata.json#zenith_spheres: found other angles; .*metadata.json#zenith_cu"):
        import_dataset(str(tmp_path), tmp_path / "imported")


@pytest.mark.parametrize(
    "rgb, lidar", [("0003-2.png", "spheres-0003.npy"), ("a.png", "0017.npy"), ("12_7.png", "7.npy")]
)
def test_names_without_a_contradiction_are_a_pair(tmp_path: Path, rgb: str, lidar: str) -> None:
    pair = [sample("a", "rgb", rgb, label={"label": "cube"}, scene=3), sample("a", "lidar", lidar)]
    assert set(open_fiftyone(write(tmp_path, pair)).files) == {"cubes/rgb/0003.png", "cubes/lidar/0003.npy"}


def test_class_and_scene_are_found_where_people_put_them(raw_folder: Path, tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    picture = pair_at(raw_folder, 1, 3).rgb.read_bytes()
    ways = {
        "field": sample("a", "rgb", "data/x1.png", scene=7, kind={"label": "Sphere"}),
        "tag": sample("b", "rgb", "data/rgb_0012.png") | {"tags": ["train", "spheres"]},
        "path": sample("c", "rgb", "data/spheres/0009.png"),
    }
    (tmp_path / "data/spheres").mkdir()
    for each in ways.values():
        (tmp_path / each["filepath"]).write_bytes(picture)
    prediction = sample("d", "rgb", "data/x2.png", scene=1, prediction={"label": "cube"})  # is nobody's class
    found = open_fiftyone(write(tmp_path, [*ways.values(), prediction], indent=1))
    assert set(found.files) == {f"spheres/rgb/{scene}.png" for scene in ("0007", "0012", "0009")}
    assert found.notes == ("1 groups that name no class, scene or picture were ignored",)
    named = sample("e", "rgb", "data/x1.png", scene=2, net={"label": "cube", "confidence": 0.9}) | {"tags": ["sphere"]}
    assert set(open_fiftyone(write(tmp_path, [named])).files) == {"spheres/rgb/0002.png"}  # a net's word is none


def test_a_depth_map_in_colour_is_not_mistaken_for_the_picture(tmp_path: Path) -> None:
    photo = sample("a", "rgb", "0000.jpg", label={"label": "cube"})
    lidar = sample("a", "lidar", "0000-2.png", depth=heatmap(npy(np.zeros((64, 64), np.float32))))
    with pytest.raises(DataError, match="no such groups"):
        open_fiftyone(write(tmp_path, [photo, lidar]))


def test_a_message_names_files_as_they_lie(raw_folder: Path, tmp_path: Path) -> None:
    source = open_fiftyone(exported(raw_folder, tmp_path, by_npy, angles(raw_folder)))
    assert source.display_path("spheres/rgb/0001.png") == tmp_path / "data/0001-2.png"
    assert source.display_path("cubes/lidar/0001.npy") == tmp_path / "data/cubes-0001.npy"


def test_the_fingerprint_changes_with_the_set(raw_folder: Path, tmp_path: Path) -> None:
    first = open_fiftyone(exported(raw_folder, tmp_path, by_npy, angles(raw_folder))).fingerprint
    assert open_fiftyone(tmp_path).fingerprint == first
    for changed in ("samples.json", "data/0003.png"):
        os.utime(tmp_path / changed, ns=(1, 1))
        assert open_fiftyone(tmp_path).fingerprint != first
        first = open_fiftyone(tmp_path).fingerprint


def test_samples_longer_than_a_piece_of_the_file_are_read(raw_folder: Path, tmp_path: Path) -> None:
    exported(raw_folder, tmp_path, by_npy, angles(raw_folder), note="ä€" * (CHUNK_BYTES // 8))
    assert (tmp_path / "samples.json").stat().st_size > 4 * CHUNK_BYTES
    assert read(tmp_path) == contents(raw_folder)


@pytest.mark.parametrize("absent", ["metadata.json", "samples.json"])
def test_another_folder_is_none(raw_folder: Path, tmp_path: Path, absent: str) -> None:
    exported(raw_folder, tmp_path, by_npy, {})
    (tmp_path / absent).unlink()
    assert open_fiftyone(tmp_path) is None


# --- what is refused


def text(content: str) -> Callable[[Path], object]:
    return lambda folder: (folder / "samples.json").write_text(content)


def path_of(path: str) -> Callable[[Path], object]:
    return lambda folder: write(folder, [sample("a", "rgb", path, label={"label": "cube"}, scene=0)])


def looped(folder: Path) -> None:
    (folder / "loop.png").symlink_to("loop.png")
    path_of("loop.png")(folder)


def two_sensors(folder: Path) -> None:
    write(folder, [GROUP])
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
    "no class": (lambda f: write(f, [sample("a", "rgb", "0000.png")]), "no such groups"),
    "path up": (path_of("../0000.png"), "the path ../0000.png; expected one inside"),
    "path from the root": (path_of("/etc/0000.png"), "the path /etc/0000.png; expected one inside"),
    "path by a link": (linked, "the path out.png; expected one inside"),
    "path that is no text": (path_of("a\0.png"), "expected one inside"),
    "path of half a character": (
        text(json.dumps({"samples": [GROUP | {"filepath": "0\ud800.png"}]})),
        "expected one inside",
    ),
    "path by a link to itself": (looped, "the path loop.png; expected one inside"),
    "two classes of a group": (
        lambda f: write(f, [GROUP, sample("a", "lidar", "0000.npy", label={"label": "sphere"})]),
        "label 0 and 1 in one group, with 0000.png",
    ),
    "two sensors": (two_sensors, "spheres/azimuth.npy: found other angles; expected those of"),
    "two scenes of a group": (
        lambda f: write(f, [GROUP | {"filepath": "data/0003.png"}, sample("a", "lidar", "data/0017.npy")]),
        "data/0003.png and data/0017.npy in one group; expected files of one scene",
    ),
    "two scenes of a group with a name": (
        lambda f: write(f, [GROUP | {"filepath": "0003-2.png"}, sample("a", "lidar", "cubes-0017-2.npy", scene=3)]),
        "0003-2.png and cubes-0017-2.npy in one group",
    ),
    "two scenes of a depth map": (
        lambda f: write(f, [GROUP, sample("a", "lidar", "0001.png", depth=heatmap(b""))]),
        "0000.png and 0001.png in one group",
    ),
    "scene twice": (
        lambda f: write(f, [GROUP, GROUP | {"group": {"_id": "b", "name": "rgb"}, "filepath": "b/0000.png"}]),
        "two groups for cubes/rgb/0000.png",
    ),
    "angles that are none": (lambda f: write(f, [GROUP], {"azimuth": ["a"]}), "metadata.json: found"),
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
    source = open_fiftyone(write(tmp_path, [GROUP, lidar]))
    with pytest.raises(DataError):
        source.read(source.files["cubes/lidar/0000.npy"])

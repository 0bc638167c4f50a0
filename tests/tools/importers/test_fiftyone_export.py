"""FiftyOneDataset folders written by hand, ours and foreign ones, come in."""

import io
import json
import os
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
from support.fiftyone_exports import heatmap, npy, sample, write_export
from support.sets import same


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
    return write_export(folder, samples, info)


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
    with pytest.raises(DataError, match="points alone; expected angles .* a simulated set has those of the course's"):
        read(tmp_path)
    for angle in ("azimuth", "zenith"):
        (tmp_path / f"{angle}.npy").write_bytes((raw_folder / f"cubes/{angle}.npy").read_bytes())
    assert set(read(tmp_path)) == set(contents(raw_folder))


INFO_KEYS = {
    "azimuth_cubes": lambda angle, name: f"{angle}_{name}",
    "cubes_azimuth": lambda angle, name: f"{name}_{angle}",
    "azimuth_cube": lambda angle, name: f"{angle}_{name[:-1]}",
    "Azimuth Cubes": lambda angle, name: f"{angle} {name}".title(),
}


@pytest.mark.parametrize("key", INFO_KEYS.values(), ids=INFO_KEYS)
def test_angles_may_be_given_class_by_class(raw_folder: Path, tmp_path: Path, key: Callable[[str, str], str]) -> None:
    info = {key(angle, name): values for angle, values in angles(raw_folder).items() for name in CLASSES}
    source = open_fiftyone(exported(raw_folder, tmp_path, by_npy, info))
    assert {raw_path: source.read(member) for raw_path, member in source.files.items()} == contents(raw_folder)
    assert source.display_path("spheres/zenith.npy") == tmp_path / f"metadata.json#{key('zenith', 'spheres')}"
    import_dataset(str(tmp_path), tmp_path / "imported")
    assert same(tmp_path / "imported", raw_folder)


@pytest.mark.parametrize("outer", ["angle", "class"])
def test_angles_may_be_in_a_mapping(raw_folder: Path, tmp_path: Path, outer: str) -> None:
    given = angles(raw_folder)
    by_angle = {angle: dict.fromkeys(CLASSES, values) for angle, values in given.items()}
    exported(raw_folder, tmp_path, by_npy, by_angle if outer == "angle" else dict.fromkeys(CLASSES, given))
    assert read(tmp_path) == contents(raw_folder)


def test_angles_of_a_class_count_more_than_those_of_both(raw_folder: Path, tmp_path: Path) -> None:
    info = {"azimuth": [0.5] * 64, "azimuth_cubes": [0.25] * 64, "zenith": [0.125] * 64}
    found = read(exported(raw_folder, tmp_path, by_npy, info))
    first = {name: np.load(io.BytesIO(found[f"{name}.npy"]))[0] for name in ("cubes/azimuth", "spheres/azimuth")}
    assert first == {"cubes/azimuth": 0.25, "spheres/azimuth": 0.5}


def test_an_export_of_windows_comes_in(raw_folder: Path, tmp_path: Path) -> None:
    exported(raw_folder, tmp_path, by_npy, angles(raw_folder))
    text = (tmp_path / "samples.json").read_text()
    (tmp_path / "samples.json").write_text(text.replace("data/", "data\\\\"))
    assert "data\\\\0000.png" in (tmp_path / "samples.json").read_text()
    assert read(tmp_path) == contents(raw_folder)


def test_an_export_in_a_folder_below_comes_in(raw_folder: Path, tmp_path: Path) -> None:
    below = tmp_path / "repository/dataset"
    below.mkdir(parents=True)
    exported(raw_folder, below, by_npy, angles(raw_folder))
    import_dataset(str(tmp_path / "repository"), tmp_path / "imported")
    assert same(tmp_path / "imported", raw_folder)
    second = tmp_path / "repository/second"
    second.mkdir()
    write_export(second, [])
    with pytest.raises(DataError, match=r"2 FiftyOne data sets, such as .*/dataset and .*/second; expected one; name"):
        import_dataset(str(tmp_path / "repository"), tmp_path / "again")


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
    "rgb, lidar",
    [
        ("0003-2.png", "spheres-0003.npy"),
        ("a.png", "0017.npy"),
        ("12_7.png", "7.npy"),
        ("cubes_spheres/3.png", "cube3.npy"),
    ],
)
def test_names_without_a_contradiction_are_a_pair(tmp_path: Path, rgb: str, lidar: str) -> None:
    pair = [sample("a", "rgb", rgb, label={"label": "cube"}, scene=3), sample("a", "lidar", lidar)]
    assert set(open_fiftyone(write_export(tmp_path, pair)).files) == {"cubes/rgb/0003.png", "cubes/lidar/0003.npy"}


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
    found = open_fiftyone(write_export(tmp_path, [*ways.values(), prediction], indent=1))
    assert set(found.files) == {f"spheres/rgb/{scene}.png" for scene in ("0007", "0012", "0009")}
    assert found.notes == ("1 groups that name no class, scene or picture were ignored",)
    named = sample("e", "rgb", "data/x1.png", scene=2, net={"label": "cube", "confidence": 0.9}) | {"tags": ["sphere"]}
    assert set(open_fiftyone(write_export(tmp_path, [named])).files) == {"spheres/rgb/0002.png"}  # a net's word is none


def test_a_depth_map_in_colour_is_not_mistaken_for_the_picture(tmp_path: Path) -> None:
    photo = sample("a", "rgb", "0000.jpg", label={"label": "cube"})
    lidar = sample("a", "lidar", "0000-2.png", depth=heatmap(npy(np.zeros((64, 64), np.float32))))
    with pytest.raises(DataError, match="no such groups"):
        open_fiftyone(write_export(tmp_path, [photo, lidar]))


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

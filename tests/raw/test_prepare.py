import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from pipeline.core.sensors import CLASSES
from pipeline.data.splits import read_splits
from pipeline.raw.format import read_angles, read_depth, read_rgb
from pipeline.raw.index import index_folder, list_pairs
from pipeline.raw.prepare import prepare
from pipeline.raw.scan import scan_rows
from support import faults
from support.prepared import contents, halves

NAMES = {f"{name}.npy" for name in ("rgb", "depth", "label", "azimuth", "zenith", "returns", "colors")}
NAMES |= {"split.tsv", "frames.tsv"}


def test_the_arrays_are_the_raw_files_bit_for_bit(raw_folder: Path, tmp_path: Path) -> None:
    prepare(raw_folder, tmp_path / "arrays", halves)
    arrays = {path.stem: np.load(path) for path in (tmp_path / "arrays").glob("*.npy")}
    shapes = {name: (array.shape, array.dtype) for name, array in arrays.items()}
    assert shapes == {
        "rgb": ((12, 64, 64, 4), np.uint8),
        "depth": ((12, 64, 64), np.float32),
        "label": ((12,), np.uint8),
        "azimuth": ((64,), np.float32),
        "zenith": ((64,), np.float32),
        "returns": ((2,), np.float32),
        "colors": ((2, 3), np.float32),
    }
    for row, pair in enumerate(list_pairs(raw_folder)):
        assert arrays["rgb"][row].tobytes() == read_rgb(pair.rgb).tobytes()
        assert arrays["depth"][row].tobytes() == read_depth(pair.lidar).tobytes()
    assert arrays["label"].tolist() == [0] * 6 + [1] * 6
    azimuth, zenith = read_angles(raw_folder, "cubes")
    assert (arrays["azimuth"] == azimuth).all() and (arrays["zenith"] == zenith).all()


def test_the_split_is_written_by_row(raw_folder: Path, tmp_path: Path) -> None:
    prepare(raw_folder, tmp_path / "arrays", halves)
    rows = {name: rows.tolist() for name, rows in read_splits(tmp_path / "arrays/split.tsv").items()}
    assert rows == {"train": [0, 1, 6, 7], "test": [2, 3, 8, 9], "val": [4, 5, 10, 11]}


def test_the_splitter_gets_the_mean_returns_of_every_scene(raw_folder: Path, tmp_path: Path) -> None:
    calls: list[list] = []

    def split(scenes: np.ndarray, returns: np.ndarray) -> dict[int, str]:
        calls.extend([scenes.tolist(), returns.tolist()])
        return halves(scenes, returns)

    prepare(raw_folder, tmp_path / "arrays", split)
    hits = (np.load(tmp_path / "arrays/depth.npy") < 50).sum(axis=(1, 2))
    assert calls == [[0, 1, 2, 3, 4, 5], ((hits[:6] + hits[6:]) / 2).tolist()]


def test_a_color_that_never_changes_has_the_standard_deviation_one(raw_folder: Path, tmp_path: Path) -> None:
    source = Path(shutil.copytree(raw_folder, tmp_path / "data"))
    for path in source.glob("*/rgb/*.png"):
        pixels = np.array(Image.open(path).convert("RGBA"))
        pixels[..., 2] = 51
        Image.fromarray(pixels).save(path)
    prepare(source, tmp_path / "arrays", halves)
    mean, std = np.load(tmp_path / "arrays/colors.npy")
    assert mean[2] == pytest.approx(0.2) and std[2] == 1
    training = np.load(tmp_path / "arrays/rgb.npy")[[0, 1, 6, 7]][..., :2].astype(np.float64) / 255
    np.testing.assert_allclose(mean[:2], training.mean(axis=(0, 1, 2)), rtol=1e-6)
    np.testing.assert_allclose(std[:2], training.std(axis=(0, 1, 2)), rtol=1e-6)


def test_returns_are_the_training_hits_mean_and_spread(raw_folder: Path, tmp_path: Path) -> None:
    prepare(raw_folder, tmp_path / "arrays", halves)
    training = np.load(tmp_path / "arrays/depth.npy")[[0, 1, 6, 7]].astype(np.float64)
    hits = training[training < 50]
    expected = np.array([hits.mean(), hits.std()], np.float32)
    np.testing.assert_allclose(np.load(tmp_path / "arrays/returns.npy"), expected, rtol=1e-6)


@pytest.fixture
def by_hand(raw_folder: Path, tmp_path: Path) -> Path:
    """Write six scenes: cubes with one hit at 20, two at 21 ... six at 25; spheres with hits at 22 and 49.5."""
    source = Path(shutil.copytree(raw_folder, tmp_path / "data"))
    for name in CLASSES:
        for scene in range(6):
            depth = np.full((64, 64), 50, np.float32)
            if name == "cubes":
                depth[0, : scene + 1] = 20 + scene
            else:
                depth[3, 4 + scene], depth[63, 63] = 22, 49.5
            np.save(source / f"{name}/lidar/{scene:04d}.npy", depth)
            rgb = np.zeros((64, 64, 4), np.uint8)
            rgb[2 * scene, 5, :3], rgb[2 * scene, 6, :3] = (10, 20, 30), (90, scene, name == "cubes")
            (source / f"{name}/rgb/{scene:04d}.png").write_bytes(faults.encoded(rgb))
    return source


def test_figures_of_a_data_set_written_by_hand(by_hand: Path, tmp_path: Path) -> None:
    found = {"rgb_files": 6, "lidar_files": 6, "pairs_found": 6}
    assert prepare(by_hand, tmp_path / "arrays", halves) == {
        "pairs": 12,
        "train": {"cubes": 2, "spheres": 2},
        "val": {"cubes": 2, "spheres": 2},
        "test": {"cubes": 2, "spheres": 2},
        "cubes": found
        | {
            "returns_min": 1,
            "returns_mean": 3.5,
            "returns_max": 6,
            "depth_min": 20.0,
            "depth_mean": 23.333,  # 490 / 21
            "depth_max": 25.0,
            "lit_mean": 2.0,
            "brightness_mean": 60.0,
        },
        "spheres": found
        | {
            "returns_min": 2,
            "returns_mean": 2.0,
            "returns_max": 2,
            "depth_min": 22.0,
            "depth_mean": 35.75,
            "depth_max": 49.5,
            "lit_mean": 2.0,
            "brightness_mean": 60.0,
        },
        "warnings": {},
        "left_out": {"pairs": 0, "faults": []},
        "not_asked_for": 0,
        "duplicates": 0,
        "near_duplicates": 0,
    }
    hits = [20, 21, 21, 22, 49.5, 22, 49.5]  # of scenes 0 and 1
    np.testing.assert_allclose(np.load(tmp_path / "arrays/returns.npy"), [np.mean(hits), np.std(hits)], rtol=1e-6)


def test_every_frame_has_a_line(by_hand: Path, tmp_path: Path) -> None:
    np.save(by_hand / "spheres/lidar/0003.npy", np.full((64, 64), 50, np.float32))
    prepare(by_hand, tmp_path / "arrays", halves)
    lines = (tmp_path / "arrays/frames.tsv").read_text().splitlines()
    assert lines[0].split("\t") == [
        *("row", "class", "scene", "split", "returns", "nearest", "mean_range", "farthest", "lit", "brightness")
    ]
    assert lines[3] == "2\tcubes\t2\ttest\t3\t22.0000\t22.0000\t22.0000\t2\t60.0000"
    assert lines[9] == "8\tspheres\t2\ttest\t2\t22.0000\t35.7500\t49.5000\t2\t60.0000"
    assert lines[10] == "9\tspheres\t3\ttest\t0\t\t\t\t2\t60.0000"
    assert len(lines) == 13


def test_a_second_run_writes_the_same_bytes(raw_folder: Path, tmp_path: Path) -> None:
    for name in ("a", "b", "b"):
        prepare(raw_folder, tmp_path / name, halves)
    first = contents(tmp_path / "a")
    assert first.keys() == NAMES and first == contents(tmp_path / "b")
    assert {path.name for path in tmp_path.iterdir()} == {"a", "b"}


# --- side by side


def test_several_processes_read_what_one_reads(raw_folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pipeline.raw.scan.BLOCK_ROWS", 5)  # the blocks are cut here, not where they are read
    rows = index_folder(raw_folder).rows()
    alone, shared = (list(scan_rows(raw_folder, rows, workers=count)) for count in (1, 2))
    assert [block.start for block in alone] == [block.start for block in shared] == [0, 5, 10]
    assert all((a.stats == b.stats).all() for a, b in zip(alone, shared, strict=True))


def test_several_processes_fill_the_arrays(raw_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    prepare(raw_folder, tmp_path / "alone", halves)
    monkeypatch.setattr("pipeline.raw.scan.BLOCK_ROWS", 5)
    monkeypatch.setattr("pipeline.raw.scan.MIN_PARALLEL_ROWS", 1)
    prepare(raw_folder, tmp_path / "shared", halves)
    assert contents(tmp_path / "alone") == contents(tmp_path / "shared")

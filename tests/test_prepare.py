import shutil
from pathlib import Path

import numpy as np
import pytest

from pipeline.data import prepare as module
from pipeline.data import raw
from pipeline.data.prepare import prepare
from pipeline.data.split import course, read_split
from pipeline.errors import PipelineError

NAMES = {"rgb.npy", "depth.npy", "label.npy", "azimuth.npy", "zenith.npy", "returns.npy", "split.tsv"}


def halves(scenes: list[int]) -> dict[int, str]:
    """Of six scenes: 0 and 1 train, 2 and 3 test, 4 and 5 val."""
    return course(scenes, held_out=2)


def contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


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
    }
    for row, pair in enumerate(raw.list_pairs(raw_folder)):
        assert arrays["rgb"][row].tobytes() == raw.read_rgb(pair.rgb).tobytes()
        assert arrays["depth"][row].tobytes() == raw.read_depth(pair.lidar).tobytes()
    assert arrays["label"].tolist() == [0] * 6 + [1] * 6
    azimuth, zenith = raw.read_angles(raw_folder, "cubes")
    assert (arrays["azimuth"] == azimuth).all() and (arrays["zenith"] == zenith).all()


def test_the_split_is_written_by_row(raw_folder: Path, tmp_path: Path) -> None:
    prepare(raw_folder, tmp_path / "arrays", halves)
    rows = {name: rows.tolist() for name, rows in read_split(tmp_path / "arrays/split.tsv").items()}
    assert rows == {"train": [0, 1, 6, 7], "test": [2, 3, 8, 9], "val": [4, 5, 10, 11]}


def test_returns_are_the_training_hits_mean_and_spread(raw_folder: Path, tmp_path: Path) -> None:
    prepare(raw_folder, tmp_path / "arrays", halves)
    training = np.load(tmp_path / "arrays/depth.npy")[[0, 1, 6, 7]].astype(np.float64)
    hits = training[training < 50]
    expected = np.array([hits.mean(), hits.std()], np.float32)
    np.testing.assert_allclose(np.load(tmp_path / "arrays/returns.npy"), expected, rtol=1e-6)


def test_figures_of_a_data_set_written_by_hand(raw_folder: Path, tmp_path: Path) -> None:
    source = shutil.copytree(raw_folder, tmp_path / "data")
    for name in raw.CLASSES:
        for scene in range(6):
            depth = np.full((64, 64), 50, np.float32)
            if name == "cubes":
                depth[0, : scene + 1] = 20 + scene  # scene + 1 hits: 1 at 20, 2 at 21, ... 6 at 25
            else:
                depth[3, 4], depth[63, 63] = 22, 49.5
            np.save(source / f"{name}/lidar/{scene:04d}.npy", depth)
    assert prepare(source, tmp_path / "arrays", halves) == {
        "pairs": 12,
        "train": {"cubes": 2, "spheres": 2},
        "val": {"cubes": 2, "spheres": 2},
        "test": {"cubes": 2, "spheres": 2},
        "cubes": {
            "returns_min": 1,
            "returns_mean": 3.5,
            "returns_max": 6,
            "depth_min": 20.0,
            "depth_mean": 23.333,  # 490 / 21
            "depth_max": 25.0,
        },
        "spheres": {
            "returns_min": 2,
            "returns_mean": 2.0,
            "returns_max": 2,
            "depth_min": 22.0,
            "depth_mean": 35.75,
            "depth_max": 49.5,
        },
    }
    hits = [20, 21, 21, 22, 49.5, 22, 49.5]  # of scenes 0 and 1
    np.testing.assert_allclose(np.load(tmp_path / "arrays/returns.npy"), [np.mean(hits), np.std(hits)], rtol=1e-6)


def test_a_second_run_writes_the_same_bytes(raw_folder: Path, tmp_path: Path) -> None:
    for name in ("a", "b", "b"):
        prepare(raw_folder, tmp_path / name, halves)
    first = contents(tmp_path / "a")
    assert first.keys() == NAMES and first == contents(tmp_path / "b")
    assert {path.name for path in tmp_path.iterdir()} == {"a", "b"}


# --- nothing half done


def test_a_faulty_raw_folder_is_refused_and_leaves_nothing(raw_folder: Path, tmp_path: Path) -> None:
    source = shutil.copytree(raw_folder, tmp_path / "data")
    depth = source / "cubes/lidar/0003.npy"
    depth.write_bytes(depth.read_bytes()[:1000])
    with pytest.raises(PipelineError, match=r"cubes/lidar/0003\.npy"):
        prepare(source, tmp_path / "out" / "arrays", halves)
    assert not (tmp_path / "out").exists()


def test_a_split_that_cannot_be_leaves_nothing(raw_folder: Path, tmp_path: Path) -> None:
    with pytest.raises(PipelineError, match="prepare.course_scenes"):
        prepare(raw_folder, tmp_path / "arrays", lambda scenes: course(scenes, held_out=320))
    assert not list(tmp_path.iterdir())


def test_an_older_output_outlives_a_failure(raw_folder: Path, tmp_path: Path) -> None:
    source = shutil.copytree(raw_folder, tmp_path / "data")
    prepare(source, tmp_path / "arrays", halves)
    before = contents(tmp_path / "arrays")
    (source / "spheres/rgb/0000.png").unlink()
    with pytest.raises(PipelineError, match=r"spheres/rgb/0000\.png"):
        prepare(source, tmp_path / "arrays", halves)
    assert contents(tmp_path / "arrays") == before


@pytest.mark.parametrize("older", [False, True])
def test_ctrl_c_at_the_third_pair(raw_folder: Path, tmp_path: Path, older: bool) -> None:
    if older:
        prepare(raw_folder, tmp_path / "arrays", lambda scenes: course(scenes, held_out=1))
        before = contents(tmp_path / "arrays")
    read: list[Path] = []

    def read_depth(path: Path) -> np.ndarray:
        read.append(path)
        if len(read) == 3:
            raise KeyboardInterrupt
        return raw.read_depth(path)

    with pytest.MonkeyPatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(module, "read_depth", read_depth)
        prepare(raw_folder, tmp_path / "arrays", halves)
    assert len(read) == 3
    assert contents(tmp_path / "arrays") == before if older else not (tmp_path / "arrays").exists()
    prepare(raw_folder, tmp_path / "arrays", halves)  # and the next run starts afresh
    assert contents(tmp_path / "arrays").keys() == NAMES and len(list(tmp_path.iterdir())) == 1

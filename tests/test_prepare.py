import json
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import faults
import numpy as np
import pandas as pd
import pytest

from pipeline.data import frames, raw
from pipeline.data.listing import list_folder, list_pairs
from pipeline.data.prepare import prepare
from pipeline.data.simulate import simulate
from pipeline.data.split import by_scene, course, read_split
from pipeline.errors import PipelineError

ROOT = Path(__file__).parent.parent
NAMES = {"rgb.npy", "depth.npy", "label.npy", "azimuth.npy", "zenith.npy", "returns.npy", "split.tsv", "frames.tsv"}
FRACTIONS = {"train": 0.5, "val": 0.25, "test": 0.25}


def halves(scenes: np.ndarray, _: np.ndarray) -> dict[int, str]:
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
    for row, pair in enumerate(list_pairs(raw_folder)):
        assert arrays["rgb"][row].tobytes() == raw.read_rgb(pair.rgb).tobytes()
        assert arrays["depth"][row].tobytes() == raw.read_depth(pair.lidar).tobytes()
    assert arrays["label"].tolist() == [0] * 6 + [1] * 6
    azimuth, zenith = raw.read_angles(raw_folder, "cubes")
    assert (arrays["azimuth"] == azimuth).all() and (arrays["zenith"] == zenith).all()


def test_the_split_is_written_by_row(raw_folder: Path, tmp_path: Path) -> None:
    prepare(raw_folder, tmp_path / "arrays", halves)
    rows = {name: rows.tolist() for name, rows in read_split(tmp_path / "arrays/split.tsv").items()}
    assert rows == {"train": [0, 1, 6, 7], "test": [2, 3, 8, 9], "val": [4, 5, 10, 11]}


def test_the_split_sees_the_mean_returns_of_every_scene(raw_folder: Path, tmp_path: Path) -> None:
    seen: list[list] = []

    def split(scenes: np.ndarray, returns: np.ndarray) -> dict[int, str]:
        seen.extend([scenes.tolist(), returns.tolist()])
        return halves(scenes, returns)

    prepare(raw_folder, tmp_path / "arrays", split)
    hits = (np.load(tmp_path / "arrays/depth.npy") < 50).sum(axis=(1, 2))
    assert seen == [[0, 1, 2, 3, 4, 5], ((hits[:6] + hits[6:]) / 2).tolist()]


def test_returns_are_the_training_hits_mean_and_spread(raw_folder: Path, tmp_path: Path) -> None:
    prepare(raw_folder, tmp_path / "arrays", halves)
    training = np.load(tmp_path / "arrays/depth.npy")[[0, 1, 6, 7]].astype(np.float64)
    hits = training[training < 50]
    expected = np.array([hits.mean(), hits.std()], np.float32)
    np.testing.assert_allclose(np.load(tmp_path / "arrays/returns.npy"), expected, rtol=1e-6)


@pytest.fixture
def by_hand(raw_folder: Path, tmp_path: Path) -> Path:
    """Six scenes: cubes with one hit at 20, two at 21 ... six at 25; spheres with hits at 22 and 49.5."""
    source = Path(shutil.copytree(raw_folder, tmp_path / "data"))
    for name in raw.CLASSES:
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
    monkeypatch.setattr(frames, "BLOCK", 5)  # the blocks are cut here, not where they are read
    rows = list_folder(raw_folder).rows()
    alone, shared = (list(frames.read_rows(raw_folder, rows, workers=count)) for count in (1, 2))
    assert [block.start for block in alone] == [block.start for block in shared] == [0, 5, 10]
    assert all((a.measures == b.measures).all() for a, b in zip(alone, shared, strict=True))


def test_several_processes_fill_the_arrays(raw_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    prepare(raw_folder, tmp_path / "alone", halves)
    monkeypatch.setattr(frames, "BLOCK", 5)
    monkeypatch.setattr(frames, "FEW", 1)
    prepare(raw_folder, tmp_path / "shared", halves)
    assert contents(tmp_path / "alone") == contents(tmp_path / "shared")


# --- nothing half done


def test_a_faulty_raw_folder_is_refused_and_leaves_nothing(raw_folder: Path, tmp_path: Path) -> None:
    source = shutil.copytree(raw_folder, tmp_path / "data")
    depth = source / "cubes/lidar/0003.npy"
    depth.write_bytes(depth.read_bytes()[:1000])
    with pytest.raises(PipelineError, match=r"cubes/lidar/0003\.npy"):
        prepare(source, tmp_path / "arrays", halves)
    assert [path.name for path in tmp_path.iterdir()] == ["data"]


def test_all_errors_are_raised_together(raw_folder: Path, tmp_path: Path) -> None:
    source = Path(shutil.copytree(raw_folder, tmp_path / "data"))
    for name in ("depth cut in half", "rgb missing", "angles in degrees", "name no digits"):
        faults.FAULTS[name].plant(source)
    with pytest.raises(PipelineError) as caught:
        prepare(source, tmp_path / "arrays", halves)
    assert {fault.kind for fault in caught.value.args} == {"truncated", "unpaired", "not-radians", "name"}


@pytest.mark.parametrize("on_error", ["stop", "skip"])
def test_a_split_that_cannot_be_leaves_nothing(raw_folder: Path, tmp_path: Path, on_error: str) -> None:
    with pytest.raises(PipelineError, match="prepare.course_scenes"):
        prepare(raw_folder, tmp_path / "arrays", lambda scenes, _: course(scenes, held_out=320), on_error)
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
def test_ctrl_c_at_the_third_pair(
    raw_folder: Path, tmp_path: Path, older: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(frames, "BLOCK", 2)
    prepare(raw_folder, tmp_path / "whole", halves)
    if older:
        prepare(raw_folder, tmp_path / "arrays", lambda scenes, _: course(scenes, held_out=1))
        before = contents(tmp_path / "arrays")
    read: list[Path] = []

    def read_depth(path: Path) -> np.ndarray:
        read.append(path)
        if len(read) == 3:
            raise KeyboardInterrupt
        return raw.read_depth(path)

    monkeypatch.setattr(frames, "read_depth", read_depth)
    with pytest.raises(KeyboardInterrupt):
        prepare(raw_folder, tmp_path / "arrays", halves)
    assert len(read) == 3
    assert contents(tmp_path / "arrays") == before if older else not (tmp_path / "arrays").exists()
    prepare(raw_folder, tmp_path / "arrays", halves)  # and the next run goes on, with the third
    assert len(read) == 13 and contents(tmp_path / "arrays") == contents(tmp_path / "whole")
    assert {path.name for path in tmp_path.iterdir()} == {"arrays", "whole"}


def test_a_run_is_not_gone_on_with_where_the_files_have_changed(
    raw_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(frames, "BLOCK", 2)
    source = Path(shutil.copytree(raw_folder, tmp_path / "data"))
    stop = lambda *_: (_ for _ in ()).throw(KeyboardInterrupt)  # noqa: E731
    with pytest.raises(KeyboardInterrupt):
        prepare(source, tmp_path / "arrays", stop)  # all is read, nothing is split
    assert len(list((tmp_path / ".arrays.partial/blocks").iterdir())) == 6
    depth = np.load(source / "cubes/lidar/0003.npy")
    np.save(source / "cubes/lidar/0003.npy", np.where(depth < 50, depth + 1, depth))
    prepare(source, tmp_path / "arrays", halves)
    assert (np.load(tmp_path / "arrays/depth.npy")[3] == np.load(source / "cubes/lidar/0003.npy")).all()


@pytest.mark.slow
def test_killed_at_ten_random_moments_the_next_run_gives_the_same_bytes(tmp_path: Path) -> None:
    simulate(tmp_path / "data", scenes=700, seed=2)
    code = f"""
import sys
from pathlib import Path
from pipeline.data import frames
from pipeline.data.prepare import prepare
from pipeline.data.split import by_scene
frames.BLOCK = 64
if __name__ == "__main__":
    frames.FEW = 64
    print("start", flush=True)
    prepare(Path("data"), Path("arrays"), lambda scenes, _: by_scene(scenes, {FRACTIONS}, seed=0))
"""
    (tmp_path / "run.py").write_text(code)
    command = [sys.executable, "run.py"]
    environment = os.environ | {"PYTHONPATH": str(ROOT)}

    def start() -> subprocess.Popen:
        running = subprocess.Popen(
            command, cwd=tmp_path, env=environment, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
        )
        assert running.stdout.readline() == "start\n"
        return running

    began = time.perf_counter()
    assert start().wait() == 0
    takes = time.perf_counter() - began
    whole = contents(tmp_path / "arrays")
    moments, went_on = random.Random(0), 0
    for _ in range(10):
        shutil.rmtree(tmp_path / "arrays")
        running = start()
        time.sleep(moments.uniform(0, takes))
        running.send_signal(signal.SIGKILL)
        running.wait()
        blocks = tmp_path / ".arrays.partial" / "blocks"
        went_on += blocks.is_dir() and any(blocks.iterdir())
        if (tmp_path / "arrays").exists():  # it was done
            assert contents(tmp_path / "arrays") == whole
        assert start().wait() == 0
        assert contents(tmp_path / "arrays") == whole
        assert {path.name for path in tmp_path.iterdir()} == {"arrays", "data", "run.py"}
    assert went_on  # else nothing was ever resumed


# --- leaving out what is broken


def test_skip_leaves_out_the_scenes_at_fault_and_lists_them(raw_folder: Path, tmp_path: Path) -> None:
    source = Path(shutil.copytree(raw_folder, tmp_path / "data"))
    prepare(source, tmp_path / "whole", lambda *_: {0: "train", 2: "val", 3: "test", 4: "train", 5: "test"})
    for name in ("depth cut in half", "stray at the top"):
        faults.FAULTS[name].plant(source)
    names = {0: "train", 2: "val", 3: "test", 4: "train", 5: "test"}
    metrics = prepare(source, tmp_path / "arrays", lambda *_: names, "skip")
    assert metrics["pairs"] == 10 and metrics["train"] == {"cubes": 2, "spheres": 2}
    assert metrics["left_out"] == {
        "pairs": 2,
        "faults": [
            {
                "path": str(source / faults.DEPTH),
                "kind": "truncated",
                "found": "7,872 bytes of values",
                "scenes": "0001",
            }
        ],
    }
    assert metrics["warnings"] == {"stray": 1} and json.dumps(metrics)
    assert contents(tmp_path / "arrays") == contents(tmp_path / "whole")
    frames_of = pd.read_csv(tmp_path / "arrays/frames.tsv", sep="\t")
    assert frames_of["scene"].tolist() == [0, 2, 3, 4, 5] * 2 and frames_of["row"].tolist() == list(range(10))


def test_skip_takes_what_a_truncated_class_leaves(raw_folder: Path, tmp_path: Path) -> None:
    source = Path(shutil.copytree(raw_folder, tmp_path / "data"))
    for scene in (4, 5):
        (source / f"spheres/rgb/{scene:04d}.png").unlink()
        (source / f"spheres/lidar/{scene:04d}.npy").unlink()
    names = {0: "train", 1: "train", 2: "val", 3: "test"}
    metrics = prepare(source, tmp_path / "arrays", lambda *_: names, "skip")
    assert metrics["pairs"] == 8 and metrics["left_out"]["pairs"] == 2
    assert [fault["scenes"] for fault in metrics["left_out"]["faults"]] == ["0004 .. 0005"]
    assert metrics["cubes"]["pairs_found"] == 6 and metrics["spheres"]["pairs_found"] == 4


def test_skip_leaves_out_the_second_of_a_duplicated_frame(raw_folder: Path, tmp_path: Path) -> None:
    source = Path(shutil.copytree(raw_folder, tmp_path / "data"))
    shutil.copy(source / "cubes/rgb/0000.png", source / "cubes/rgb/0005.png")
    with pytest.raises(PipelineError, match="cubes/rgb/0005.png: found the same frame as .*cubes/rgb/0000.png, which"):
        prepare(source, tmp_path / "arrays", halves)
    metrics = prepare(source, tmp_path / "arrays", halves, "skip")
    assert metrics["val"] == {"cubes": 1, "spheres": 1} and metrics["left_out"]["faults"][0]["kind"] == "leak"


@pytest.mark.parametrize("name", ["angles missing", "class missing", "no returns at all"])
def test_skip_does_not_pass_over_a_fault_of_the_whole_folder(raw_folder: Path, tmp_path: Path, name: str) -> None:
    source = Path(shutil.copytree(raw_folder, tmp_path / "data"))
    faults.FAULTS[name].plant(source)
    with pytest.raises(PipelineError, match=faults.FAULTS[name].words):
        prepare(source, tmp_path / "arrays", halves, "skip")
    assert [path.name for path in tmp_path.iterdir()] == ["data"]


def test_skip_stops_where_it_would_leave_a_split_empty(raw_folder: Path, tmp_path: Path) -> None:
    source = Path(shutil.copytree(raw_folder, tmp_path / "data"))
    shutil.copy(source / "cubes/rgb/0000.png", source / "cubes/rgb/0005.png")
    names = {0: "train", 1: "train", 2: "test", 3: "train", 4: "train", 5: "val"}
    with pytest.raises(PipelineError, match="no whole scene for split val"):
        prepare(source, tmp_path / "arrays", lambda *_: names, "skip")


def test_scenes_over_the_counts_are_not_taken(raw_folder: Path, tmp_path: Path) -> None:
    counts = {"train": 2, "val": 1, "test": 1}
    metrics = prepare(raw_folder, tmp_path / "arrays", lambda scenes, _: by_scene(scenes, counts, seed=0))
    assert metrics["pairs"] == 8 and metrics["left_out"] == {"pairs": 0, "faults": []}
    assert metrics["not_asked_for"] == 4
    assert np.load(tmp_path / "arrays/depth.npy").shape == (8, 64, 64)
    table = pd.read_csv(tmp_path / "arrays/split.tsv", sep="\t")
    for row, scene in enumerate(table["scene"]):
        pair = raw.pair_at(raw_folder, row // 4, scene)
        assert (np.load(tmp_path / "arrays/rgb.npy")[row] == raw.read_rgb(pair.rgb)).all()

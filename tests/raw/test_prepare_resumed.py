"""A prepare that fails, is interrupted or is killed."""

import os
import random
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from pipeline.core.errors import PipelineError
from pipeline.raw import format
from pipeline.raw.prepare import prepare
from pipeline.raw.splitting import split_course
from support import faults
from support.commands import ROOT
from support.prepared import contents, halves

FRACTIONS = {"train": 0.5, "val": 0.25, "test": 0.25}


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
    assert {issue.code for issue in caught.value.args} == {"truncated", "unpaired", "not-radians", "name"}


@pytest.mark.parametrize("on_error", ["stop", "skip"])
def test_a_split_that_cannot_be_leaves_nothing(raw_folder: Path, tmp_path: Path, on_error: str) -> None:
    with pytest.raises(PipelineError, match="prepare.course_scenes"):
        prepare(raw_folder, tmp_path / "arrays", lambda scenes, _: split_course(scenes, held_out=320), on_error)
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
    monkeypatch.setattr("pipeline.raw.scan.BLOCK_ROWS", 2)
    prepare(raw_folder, tmp_path / "whole", halves)
    if older:
        prepare(raw_folder, tmp_path / "arrays", lambda scenes, _: split_course(scenes, held_out=1))
        before = contents(tmp_path / "arrays")
    read: list[Path] = []

    def read_depth(path: Path) -> np.ndarray:
        read.append(path)
        if len(read) == 3:
            raise KeyboardInterrupt
        return format.read_depth(path)

    monkeypatch.setattr("pipeline.raw.scan.read_depth", read_depth)
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
    monkeypatch.setattr("pipeline.raw.scan.BLOCK_ROWS", 2)
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
def test_killed_at_ten_random_moments_the_next_run_gives_the_same_bytes(many: Path, tmp_path: Path) -> None:
    code = f"""
import sys
from pathlib import Path
from pipeline.raw import scan
from pipeline.raw.prepare import prepare
from pipeline.raw.splitting import split_by_scene
scan.BLOCK_ROWS = 32
if __name__ == "__main__":
    scan.MIN_PARALLEL_ROWS = 32
    print("start", flush=True)
    prepare(Path({str(many)!r}), Path("arrays"), lambda scenes, _: split_by_scene(scenes, {FRACTIONS}, seed=0))
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
        assert {path.name for path in tmp_path.iterdir()} == {"arrays", "run.py"}
    assert went_on  # else nothing was ever resumed

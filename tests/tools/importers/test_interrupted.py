"""An import that is killed or interrupted leaves nothing that looks complete, and the next one goes on from there."""

import os
import random
import shutil
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest

from pipeline.core.errors import PipelineError
from pipeline.raw.format import DataError
from pipeline.raw.index import index_folder
from pipeline.tools.importers.import_dataset import _move, _number, import_dataset
from support.commands import ROOT
from support.sets import same, take


@pytest.fixture
def good(raw_folder: Path, tmp_path: Path) -> Path:
    """Six scenes in a folder of their own, to be changed."""
    return Path(shutil.copytree(raw_folder, tmp_path / "in/set"))


def start(source: Path, folder: Path) -> subprocess.Popen:
    """The command, taking its time: 20 milliseconds a frame, so that a kill comes before the end."""
    code = f"""
import signal, sys, time
signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell's background job, and all it starts, ignores it
from pipeline.__main__ import app
from pipeline.data import copying
from pipeline.errors import run
write = copying._write
copying._write = lambda *args: (time.sleep(0.02), write(*args))
sys.argv = ["pipeline", "import", {str(source)!r}, {str(folder)!r}]
if __name__ == "__main__":
    run(app)
"""
    return subprocess.Popen([sys.executable, "-c", code], cwd=ROOT, stderr=subprocess.PIPE, text=True)


def frames(partial: Path) -> list[Path]:
    return list(partial.glob("work/frames/*/*/[0-9]*"))


def wait_for(holds: Callable[[], bool]) -> None:
    late = time.monotonic() + 30
    while not holds():
        assert time.monotonic() < late
        time.sleep(0.002)


@pytest.mark.slow
def test_killed_at_any_moment_it_goes_on_where_it_was(many: Path, tmp_path: Path, reads: Counter) -> None:
    partial, moments = tmp_path / ".data.partial", random.Random(0)
    before = 0
    for share in sorted(moments.random() for _ in range(10)):
        at = int(900 * share)  # the rest takes most of a second
        process = start(many, tmp_path / "data")
        wait_for(lambda: len(frames(partial)) >= at or process.poll() is not None)  # noqa: B023
        process.send_signal(signal.SIGKILL)
        assert process.wait() == -signal.SIGKILL
        assert [each.name for each in tmp_path.iterdir()] == [".data.partial"]
        assert index_folder(partial).issues  # no check takes it for a set
        assert before <= len(frames(partial)) < 1200
        before = len(frames(partial))
    taken = import_dataset(str(many), tmp_path / "data", None, 0, False)
    assert same(tmp_path / "data", many) and [each.name for each in tmp_path.iterdir()] == ["data"]
    assert sum(reads.values()) == 1200 - before + 4  # and the angles, always
    assert taken.notes[-1] == f"{before:,} frames were there from an import that was interrupted"


@pytest.mark.parametrize("moved", [0, 1, 13, 20, 27])  # of 28
def test_killed_while_frames_are_numbered_it_goes_on_too(
    good: Path, tmp_path: Path, raw_folder: Path, monkeypatch: pytest.MonkeyPatch, moved: int
) -> None:
    for path in sorted(good.glob("*/*/*"), reverse=True):
        path.rename(path.with_stem(f"{int(path.stem) + 1:04d}"))
    move, left = _move, [moved]

    def stop(*args) -> None:
        if not left[0]:
            raise KeyboardInterrupt
        left[0] -= 1
        move(*args)

    monkeypatch.setattr("pipeline.tools.importers.import_dataset._move", stop)
    with pytest.raises(KeyboardInterrupt):
        take(good)
    assert sorted(each.name for each in tmp_path.iterdir()) == [".data.partial", "in"]
    monkeypatch.setattr("pipeline.tools.importers.import_dataset._move", move)
    take(good)
    assert same(tmp_path / "data", raw_folder)


def test_what_was_left_out_is_not_gone_on_with_by_who_did_not_ask_for_it(
    good: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (good / "cubes/rgb/0001.png").write_bytes(b"")

    def stop(*args) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patched, pytest.raises(KeyboardInterrupt):
        patched.setattr("pipeline.tools.importers.import_dataset._number", stop)
        take(good, skip=True)
    with pytest.raises(DataError, match="0001.png: found 0 bytes"):
        take(good)


def test_ctrl_c_ends_the_command_with_one_line_and_the_next_goes_on(many: Path, tmp_path: Path) -> None:
    process = start(many, tmp_path / "data")
    wait_for(lambda: len(frames(tmp_path / ".data.partial")) > 20)
    process.send_signal(signal.SIGINT)
    _, told = process.communicate()
    assert process.returncode == 130 and "error: interrupted" in told and "Traceback" not in told
    assert [each.name for each in tmp_path.iterdir()] == [".data.partial"]
    assert "interrupted" in import_dataset(str(many), tmp_path / "data", None, 0, False).notes[-1]
    assert same(tmp_path / "data", many)


@pytest.mark.parametrize("change", ["source", "scenes", "seed"])
def test_what_is_left_of_another_import_is_not_gone_on_with(
    good: Path, many: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, reads: Counter, change: str
) -> None:
    def stop(*args) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patched, pytest.raises(KeyboardInterrupt):
        patched.setattr("pipeline.tools.importers.import_dataset._check", stop)
        take(good, scenes=2, seed=0)
    left = Path(tmp_path / ".data.partial")
    assert len(frames(left)) == 8
    if change == "source":
        os.utime(good / "cubes/rgb/0000.png", (1, 1))
    reads.clear()
    wishes = {"source": (2, 0), "scenes": (3, 0), "seed": (2, 1)}[change]
    assert not any("interrupted" in note for note in take(good, *wishes).notes)
    assert sum(reads.values()) == 4 * wishes[0] + 4


def test_a_name_taken_meanwhile_is_not_replaced(good: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    number = _number

    def meanwhile(*args) -> None:
        number(*args)
        (tmp_path / "data").write_text("mine")

    monkeypatch.setattr("pipeline.tools.importers.import_dataset._number", meanwhile)
    with pytest.raises(DataError, match="something there already"):
        take(good)
    assert (tmp_path / "data").read_text() == "mine" and not (tmp_path / ".data.partial").exists()


def test_two_imports_at_once_are_refused_until_the_first_is_dead(many: Path, good: Path, tmp_path: Path) -> None:
    process = start(many, tmp_path / "data")
    wait_for(lambda: len(frames(tmp_path / ".data.partial")) > 20)
    with pytest.raises(PipelineError, match="another import is writing there"):
        take(good)
    process.kill()
    process.wait()
    take(good)
    assert same(tmp_path / "data", good)

"""An import that is killed or interrupted leaves nothing that looks complete, and the next one resumes there."""

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
from pipeline.tools.importers.import_dataset import import_dataset
from support.commands import ROOT
from support.sets import import_set, same

rename = os.rename


@pytest.fixture
def good(raw_folder: Path, tmp_path: Path) -> Path:
    """Six scenes in a folder of their own, to be changed."""
    return Path(shutil.copytree(raw_folder, tmp_path / "in/set"))


def start(source: Path, folder: Path) -> subprocess.Popen:
    """The command, slowed down to 20 milliseconds a frame, so that a kill comes before the end."""
    code = f"""
import os, signal, sys, time
signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell's background job, and all it starts, ignores it
from pipeline.__main__ import app
from pipeline.core.errors import run_command
replace = os.replace
os.replace = lambda *args: (time.sleep(0.02), replace(*args))
sys.argv = ["pipeline", "import", {str(source)!r}, {str(folder)!r}]
if __name__ == "__main__":
    run_command(app)
"""
    return subprocess.Popen([sys.executable, "-c", code], cwd=ROOT, stderr=subprocess.PIPE, text=True)


def frames(partial: Path) -> list[Path]:
    return list(partial.glob("work/frames/*/*/[0-9]*"))


def wait_for(holds: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 30
    while not holds():
        assert time.monotonic() < deadline
        time.sleep(0.002)


def interrupt(*args: object) -> None:
    raise KeyboardInterrupt


@pytest.mark.slow
def test_killed_at_any_moment_it_resumes_where_it_was(many: Path, tmp_path: Path, reads: Counter) -> None:
    partial, moments = tmp_path / ".data.partial", random.Random(0)
    before = 0
    for share in sorted(moments.random() for _ in range(10)):
        moment = int(900 * share)  # the rest takes most of a second
        process = start(many, tmp_path / "data")
        wait_for(lambda: len(frames(partial)) >= moment or process.poll() is not None)  # noqa: B023
        process.send_signal(signal.SIGKILL)
        assert process.wait() == -signal.SIGKILL
        assert [each.name for each in tmp_path.iterdir()] == [".data.partial"]
        assert index_folder(partial).issues  # no check accepts it as a set
        assert before <= len(frames(partial)) < 1200
        before = len(frames(partial))
    result = import_dataset(str(many), tmp_path / "data")
    assert same(tmp_path / "data", many) and [each.name for each in tmp_path.iterdir()] == ["data"]
    assert sum(reads.values()) == 1200 - before + 4  # and the angles, always
    assert result.notes[-1] == f"{before:,} frames were there from an import that was interrupted"


@pytest.mark.parametrize("moved", [0, 1, 13, 20, 27])  # of 28
def test_killed_while_frames_are_renumbered_it_resumes_too(
    good: Path, tmp_path: Path, raw_folder: Path, monkeypatch: pytest.MonkeyPatch, moved: int
) -> None:
    for path in sorted(good.glob("*/*/*"), reverse=True):
        path.rename(path.with_stem(f"{int(path.stem) + 1:04d}"))
    left = [moved]

    def rename_some(*args: Path) -> None:
        if not left[0]:
            raise KeyboardInterrupt
        left[0] -= 1
        rename(*args)

    with monkeypatch.context() as patched, pytest.raises(KeyboardInterrupt):
        patched.setattr("os.rename", rename_some)
        import_set(good)
    assert sorted(each.name for each in tmp_path.iterdir()) == [".data.partial", "in"] and left == [0]
    import_set(good)
    assert same(tmp_path / "data", raw_folder)


def test_a_selection_with_skip_is_not_resumed_without_it(good: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (good / "cubes/rgb/0001.png").write_bytes(b"")
    with monkeypatch.context() as patched, pytest.raises(KeyboardInterrupt):
        patched.setattr("os.rename", interrupt)  # when every frame is copied
        import_set(good, skip=True)
    with pytest.raises(DataError, match="0001.png: found 0 bytes"):
        import_set(good)


def test_ctrl_c_ends_the_command_with_one_line_and_the_next_resumes(many: Path, tmp_path: Path) -> None:
    process = start(many, tmp_path / "data")
    wait_for(lambda: len(frames(tmp_path / ".data.partial")) > 20)
    process.send_signal(signal.SIGINT)
    _, output = process.communicate()
    assert process.returncode == 130 and "error: interrupted" in output and "Traceback" not in output
    assert [each.name for each in tmp_path.iterdir()] == [".data.partial"]
    assert "interrupted" in import_dataset(str(many), tmp_path / "data").notes[-1]
    assert same(tmp_path / "data", many)


@pytest.mark.parametrize("change", ["source", "scenes", "seed"])
def test_the_rest_of_another_import_is_not_resumed(
    good: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, reads: Counter, change: str
) -> None:
    with monkeypatch.context() as patched, pytest.raises(KeyboardInterrupt):
        patched.setattr("pipeline.tools.importers.select_scenes.validate_folder", interrupt)
        import_set(good, scenes=2, seed=0)
    assert len(frames(tmp_path / ".data.partial")) == 8
    if change == "source":
        os.utime(good / "cubes/rgb/0000.png", (1, 1))
    reads.clear()
    scenes, seed = {"source": (2, 0), "scenes": (3, 0), "seed": (2, 1)}[change]
    assert not any("interrupted" in note for note in import_set(good, scenes, seed).notes)
    assert sum(reads.values()) == 4 * scenes + 4


def test_a_folder_that_appears_meanwhile_is_not_replaced(
    good: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def rename_meanwhile(*args: Path) -> None:
        rename(*args)
        (tmp_path / "data").write_text("mine")

    monkeypatch.setattr("os.rename", rename_meanwhile)
    with pytest.raises(DataError, match="something there already"):
        import_set(good)
    assert (tmp_path / "data").read_text() == "mine" and not (tmp_path / ".data.partial").exists()


def test_two_imports_at_once_are_refused_until_the_first_is_dead(many: Path, good: Path, tmp_path: Path) -> None:
    process = start(many, tmp_path / "data")
    wait_for(lambda: len(frames(tmp_path / ".data.partial")) > 20)
    with pytest.raises(PipelineError, match="another import is writing there"):
        import_set(good)
    process.kill()
    process.wait()
    import_set(good)
    assert same(tmp_path / "data", good)

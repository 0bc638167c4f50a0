import json
import pickle
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from pipeline.core.checkpoints import load_checkpoint
from pipeline.core.errors import PipelineError
from pipeline.core.files import (
    atomic,
    map_rows,
    read_json,
    read_npy,
    resumable_folder,
    write_json,
    write_npy,
    write_text,
)
from pipeline.core.runs import run_folder
from support.bombs import Bomb
from support.commands import ROOT

# --- whole or not at all


def test_a_file_appears_with_its_folder_and_is_for_all_to_read(tmp_path: Path) -> None:
    write_text(tmp_path / "new" / "a.txt", "käfer\n")
    assert (tmp_path / "new" / "a.txt").read_bytes() == "käfer\n".encode()
    assert (tmp_path / "new" / "a.txt").stat().st_mode & 0o777 == 0o644
    assert len(list((tmp_path / "new").iterdir())) == 1


def test_a_mount_that_has_no_modes_is_written_to(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*args: object) -> None:
        raise PermissionError(1, "Operation not permitted")

    monkeypatch.setattr("os.chmod", refuse)
    write_text(tmp_path / "a.txt", "there")
    assert [path.read_text() for path in tmp_path.iterdir()] == ["there"]


def test_rows_are_mapped_from_a_file_without_a_name(tmp_path: Path) -> None:
    parts = [np.array([[1.0, 2.0], [3.0, 4.0]], np.float32).T, np.array([[5.0, 6.0]], np.float32)]
    rows = map_rows(tmp_path, iter(parts))
    assert rows.tolist() == [[1, 3], [2, 4], [5, 6]] and rows.dtype == np.float32
    assert isinstance(rows, np.memmap) and list(tmp_path.iterdir()) == []
    rows[0, 0] = 7  # torch wants memory that it could write to


@pytest.mark.parametrize("failure", [ValueError, KeyboardInterrupt])
def test_a_failure_inside_leaves_the_old_file_and_no_litter(tmp_path: Path, failure: type[BaseException]) -> None:
    path = tmp_path / "a.txt"
    path.write_text("old")
    with pytest.raises(failure), atomic(path) as part:
        part.write_text("half")
        raise failure
    assert path.read_text() == "old" and list(tmp_path.iterdir()) == [path]


def half_done(folder: Path, key: str, failure: type[BaseException]) -> None:
    with pytest.raises(failure), resumable_folder(folder, key) as part:
        (part / "first.txt").write_text("first")
        raise failure


def test_an_interrupted_folder_is_gone_on_with(tmp_path: Path) -> None:
    folder = tmp_path / "arrays"
    half_done(folder, "a", KeyboardInterrupt)
    assert not folder.exists()
    with resumable_folder(folder, "a") as part:
        assert (part / "first.txt").read_text() == "first"
        (part / "second.txt").write_text("second")
    assert {path.name for path in folder.iterdir()} == {"first.txt", "second.txt"}
    assert list(tmp_path.iterdir()) == [folder]


@pytest.mark.parametrize(("failure", "key"), [(KeyboardInterrupt, "b"), (ValueError, "a")])
def test_another_key_or_a_failure_starts_anew(tmp_path: Path, failure: type[BaseException], key: str) -> None:
    half_done(tmp_path / "arrays", "a", failure)
    with resumable_folder(tmp_path / "arrays", key) as part:
        assert not (part / "first.txt").exists()


def test_a_failure_keeps_the_old_folder(tmp_path: Path) -> None:
    folder = tmp_path / "arrays"
    with resumable_folder(folder, "a") as part:
        (part / "old.txt").touch()
    half_done(folder, "a", ValueError)
    assert [path.name for path in folder.iterdir()] == ["old.txt"] and list(tmp_path.iterdir()) == [folder]


def test_a_killed_writer_leaves_nothing_under_the_final_name(tmp_path: Path) -> None:
    code = """if True:
        import os, sys
        from pathlib import Path
        from pipeline.core.files import atomic
        with atomic(Path(sys.argv[1])) as part:
            part.write_text("half")
            os.kill(os.getpid(), 9)
    """
    ended = subprocess.run([sys.executable, "-c", code, tmp_path / "a.txt"], cwd=ROOT)
    assert ended.returncode == -signal.SIGKILL
    (remains,) = tmp_path.iterdir()
    assert remains.name.startswith(".a.txt.") and remains.read_text() == "half"


# --- JSON


def test_json_round_trip(tmp_path: Path) -> None:
    write_json(tmp_path / "a.json", {"b": [1, 0.5, None]})
    assert (tmp_path / "a.json").read_text() == json.dumps({"b": [1, 0.5, None]}, indent=2) + "\n"
    assert read_json(tmp_path / "a.json") == {"b": [1, 0.5, None]}


def test_json_refuses_not_a_number_and_keeps_the_old_file(tmp_path: Path) -> None:
    write_json(tmp_path / "a.json", 1)
    with pytest.raises(ValueError, match="not JSON compliant"):
        write_json(tmp_path / "a.json", {"loss": float("nan")})
    assert read_json(tmp_path / "a.json") == 1


# --- arrays


def test_array_round_trip(tmp_path: Path) -> None:
    array = np.arange(6, dtype=np.float32).reshape(2, 3)
    write_npy(tmp_path / "a.npy", array)
    for mode in (None, "c"):
        read = read_npy(tmp_path / "a.npy", mmap_mode=mode)
        assert read.dtype == np.float32 and read.tolist() == [[0, 1, 2], [3, 4, 5]]


def test_an_array_of_objects_is_neither_written_nor_unpickled(tmp_path: Path) -> None:
    array = np.array([Bomb(tmp_path / "exploded")], dtype=object)
    with pytest.raises(ValueError, match="allow_pickle=False"):
        write_npy(tmp_path / "a.npy", array)
    np.save(tmp_path / "b.npy", array, allow_pickle=True)
    (tmp_path / "c.npy").write_bytes(pickle.dumps(Bomb(tmp_path / "exploded")))
    for name in ("b.npy", "c.npy"):
        with pytest.raises(PipelineError, match=f"{name}: not a whole .npy array"):
            read_npy(tmp_path / name)
    assert {path.name for path in tmp_path.iterdir()} == {"b.npy", "c.npy"}


@pytest.mark.parametrize("mode", [None, "c"])
def test_what_is_no_whole_array_is_refused(tmp_path: Path, mode: str | None) -> None:
    path = tmp_path / "a.npy"
    write_npy(path, np.zeros(100))
    whole = path.read_bytes()
    np.savez(tmp_path / "b.npz", np.zeros(3))
    archive = (tmp_path / "b.npz").read_bytes()
    for content in (b"", whole[:3], whole[:40], whole[:128], whole[:-1], archive, archive[:50], b"no array"):
        path.write_bytes(content)
        with pytest.raises(PipelineError, match="a.npy: not a whole .npy array .*; delete it"):
            read_npy(path, mmap_mode=mode)


# --- names and absence


@pytest.mark.parametrize("read", [read_json, read_npy, load_checkpoint])
def test_an_absent_file_is_named_with_the_way_to_make_it(tmp_path: Path, read: Callable[[Path], object]) -> None:
    with pytest.raises(PipelineError, match="absent: not found; run `dvc repro`"):
        read(tmp_path / "absent")


@pytest.mark.parametrize("content", [b"{", b"\xff\xfe", b""])
def test_broken_json_is_named(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "a.json").write_bytes(content)
    with pytest.raises(PipelineError, match=r"a\.json: not valid JSON"):
        read_json(tmp_path / "a.json")


def test_a_run_folder_is_made_where_we_stand(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert run_folder("fusion", "late-maxpool") == Path("runs/fusion/late-maxpool")
    assert run_folder("lidar") == Path("runs/lidar")
    assert (tmp_path / "runs/fusion/late-maxpool").is_dir() and (tmp_path / "runs/lidar").is_dir()

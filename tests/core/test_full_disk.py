"""A disk that is full or read-only: one error with the file's own name, nothing half-written, the old file whole."""

import os
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

from pipeline.core.checkpoints import save_checkpoint
from pipeline.core.errors import PipelineError
from pipeline.core.files import atomic, resumable_folder, write_json, write_npy, write_text
from pipeline.core.runs import require_writable
from support.mounts import in_own_mounts

BIG = "x" * 3_000_000
WRITERS: dict[str, Callable[[Path], object]] = {
    "text": lambda path: write_text(path, BIG),
    "json": lambda path: write_json(path, [BIG]),
    "array": lambda path: write_npy(path, np.zeros(3_000_000, np.uint8)),
    "checkpoint": lambda path: save_checkpoint(path, {"weight": torch.zeros(750_000)}, {}),
}
# 2 MB, of which an old file has a few bytes; one process for all, since torch is slow to start
FULL = """
import sys
sys.path.append("tests")
from pathlib import Path
from pipeline.core.errors import PipelineError
from pipeline.core.files import map_rows
from core.test_full_disk import WRITERS, np
path = Path("/mnt/old.bin")
path.write_text("old")
for write in WRITERS.values():
    try:
        write(path)
    except PipelineError as error:
        print(error)
    assert path.read_text() == "old" and [each.name for each in path.parent.iterdir()] == ["old.bin"]
try:
    map_rows(path.parent, [np.zeros(1_000_000, np.uint8)] * 3)
except PipelineError as error:
    print(error)
map_rows(path.parent, [np.zeros(1_000_000, np.uint8)])  # the disk has room again
"""


@pytest.mark.environment
def test_a_full_disk_is_named_and_the_old_file_stays() -> None:
    *messages, mapped = in_own_mounts(FULL, "mount -t tmpfs -o size=2m none /mnt").splitlines()
    assert mapped.startswith("/mnt: cannot be written (No space left on device)")
    assert len(messages) == len(WRITERS)
    for message in messages:
        assert message.startswith("/mnt/old.bin: cannot be written (")
        assert message.endswith(
            "); it is as it was before; free space on its disk or make its folder writable, and run it again"
        )


@pytest.mark.environment
def test_a_read_only_folder_is_named_by_the_file_that_was_to_be_written() -> None:
    code = """
from pathlib import Path
from pipeline.core.errors import PipelineError
from pipeline.core.files import write_text
try:
    write_text(Path("/mnt/new.txt"), "new")
except PipelineError as error:
    print(error)
"""
    message = in_own_mounts(code, "mount -t tmpfs -o ro none /mnt")
    assert message.startswith("/mnt/new.txt: cannot be written (Read-only file system); it is as it was before;")


def test_a_run_folder_that_bars_writing_is_named_before_the_work() -> None:
    with pytest.raises(PipelineError, match="^/proc/self: found a folder that bars writing; expected a writable one"):
        require_writable(Path("/proc/self"))
    require_writable(Path("/tmp"))


def full_disk() -> None:
    raise OSError(28, "No space left on device")  # as a write raises it: without a file


def test_a_write_that_names_no_file_gets_one(tmp_path: Path) -> None:
    with pytest.raises(PipelineError, match=r"a\.txt: cannot be written \(No space left on device\)"):
        with atomic(tmp_path / "a.txt") as part:
            part.write_text("half")
            full_disk()
    with pytest.raises(PipelineError, match=r"arrays: cannot be written \(No space left on device\)"):
        with resumable_folder(tmp_path / "arrays", "key"):
            full_disk()
    assert list(tmp_path.iterdir()) == []


def test_the_failure_of_another_file_keeps_its_name(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="absent"), atomic(tmp_path / "a.txt"):
        os.stat(tmp_path / "absent")

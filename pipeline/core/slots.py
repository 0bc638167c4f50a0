"""Slots: how many trainings compute at a time, one core each, in this process or in all processes of a driver.

A driver that runs several stages at a time makes a folder with one file a slot, and names the folder in the variable
SLOTS of its stages. Whoever locks a file holds its slot, and the kernel frees the slot of a process that was killed.
A stage starts with one slot that the driver holds for it, so that each stage always has one to go on with. Its other
threads lock more. Without the variable this process has as many slots as cores.
"""

import fcntl
import json
import os
import shutil
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from time import sleep
from typing import IO

from pipeline.core.cores import count_cores

SLOTS = "PIPELINE_SLOTS"  # the variable
SHARED_GPU = "PIPELINE_SHARED_GPU"  # a variable of stages on a GPU that several stages use at a time
SECONDS_BETWEEN_TRIES = 0.02
_count_lock = threading.Lock()
_computing = 0  # threads of this process that hold a slot
_locked: list[IO[str]] = []  # the slots of the folder that they hold, one fewer than threads


def make_slots(folder: Path, count: int) -> None:
    """Create a folder with `count` free slots; an earlier folder of this name is deleted."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    for index in range(count):
        (folder / f"slot{index}").touch()


def try_slot(folder: Path) -> IO[str] | None:
    """Lock a free slot of `folder` and return its open file, which holds the slot until closed, or None."""
    for path in sorted(folder.glob("slot*")):
        file = path.open()
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return file
        except BlockingIOError:
            file.close()
    return None


def count_slots() -> int:
    """Return how many threads may compute at a time: the driver's slots, or the cores that this process may use.

    A process of `torchrun` has one: all of them have to compute the seeds in one order.
    """
    if "TORCHELASTIC_RUN_ID" in os.environ:
        return 1
    folder = os.environ.get(SLOTS)
    return len(list(Path(folder).glob("slot*"))) if folder else count_cores()


@contextmanager
def slot(check: Callable[[], None]) -> Iterator[None]:
    """Wait for a slot and hold it inside the block; `check` is called before each try and ends the wait by raising."""
    check()
    while not _take():
        sleep(SECONDS_BETWEEN_TRIES)
        check()
    try:
        yield
    finally:
        _give_back()


def record_seconds(seconds: Sequence[float]) -> None:
    """Append the computing seconds of items that ran side by side to the driver's record, from which it plans."""
    if folder := os.environ.get(SLOTS):
        line = json.dumps({"stage": os.environ.get("DVC_STAGE"), "seconds": [round(each, 3) for each in seconds]})
        with (Path(folder) / "record.jsonl").open("a") as file:
            file.write(f"{line}\n")


def _take() -> bool:
    global _computing
    with _count_lock:
        if _computing:  # the first thread has the slot that its process started with
            folder = os.environ.get(SLOTS)
            if folder:
                another = try_slot(Path(folder))
                if another is None:
                    return False
                _locked.append(another)
            elif _computing >= count_cores():
                return False
        _computing += 1
        return True


def _give_back() -> None:
    global _computing
    with _count_lock:
        _computing -= 1
        if _locked:
            _locked.pop().close()

"""Processes that a test starts, and waits for."""

from collections.abc import Callable
from pathlib import Path
from time import monotonic, sleep


def wait_for(condition: Callable[[], bool]) -> None:
    end = monotonic() + 60
    while not condition():
        assert monotonic() < end, "waited for 60 seconds"
        sleep(0.05)


def is_running(pid: int | str) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False

"""Worker processes: how many, with how many threads, and how they end."""

import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from multiprocessing import active_children
from multiprocessing.context import SpawnProcess
from pathlib import Path
from threading import Thread

import numpy as np
import pytest

from pipeline.core.errors import PipelineError
from pipeline.raw.index import Rows, index_folder
from pipeline.raw.scan import Block, scan_rows
from pipeline.raw.workers import count_workers
from support.commands import ROOT
from support.mounts import in_own_mounts
from support.processes import is_running

# --- how many


@pytest.mark.environment
def test_one_process_reads_where_processes_share_no_semaphores(many: Path, tmp_path: Path) -> None:
    code = f"""
from pathlib import Path
from pipeline.raw import scan
from pipeline.raw.index import index_folder
scan.BLOCK_ROWS, scan.MIN_PARALLEL_ROWS = 16, 16
rows = index_folder(Path("{many}")).rows()
print(sum(len(block.stats) for block in scan.scan_rows(Path("{many}"), rows)))
"""
    assert in_own_mounts(code, "mount -t tmpfs -o ro none /dev/shm") == "600\n"


@pytest.mark.parametrize("room, workers, words", [(6, 1, "too low for 2 processes that read frames"), (7, 2, "")])
def test_one_process_reads_where_a_pool_has_no_room(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], room: int, workers: int, words: str
) -> None:
    start, started = Thread.start, []

    def start_few(thread: Thread) -> None:
        if len(started) == room:
            raise RuntimeError("can't start new thread")
        started.append(start(thread))

    monkeypatch.setattr("pipeline.raw.workers.count_slots", lambda: 2)
    monkeypatch.setattr(Thread, "start", start_few)
    assert count_workers() == workers and len(started) == room
    assert words in capsys.readouterr().err


def test_a_limit_of_processes_is_one_clear_error(good: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    start, started = SpawnProcess.start, []

    def start_one(process: SpawnProcess) -> None:
        if started:
            raise BlockingIOError(11, "Resource temporarily unavailable")
        started.append(start(process))

    monkeypatch.setattr("pipeline.raw.scan.BLOCK_ROWS", 2)
    monkeypatch.setattr(SpawnProcess, "start", start_one)
    with pytest.raises(PipelineError, match="^found no room for 2 processes .*unavailable.*`ulimit -u`"):
        list(scan_rows(good, index_folder(good).rows(), workers=2))
    assert started and not active_children()


# --- how they live


@pytest.fixture
def blocks(many: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Iterator[Block]]:
    """Read the blocks of 300 scenes twenty times over, of which two processes have read the first."""
    monkeypatch.setattr("pipeline.raw.scan.BLOCK_ROWS", 8)
    rows = Rows(*(np.tile(column, 20) for column in index_folder(many).rows()))
    blocks = scan_rows(many, rows, workers=2)
    next(blocks)
    yield blocks
    blocks.close()
    assert not active_children()


def test_workers_have_one_thread_each_for_blas(blocks: Iterator[Block]) -> None:
    workers = active_children()
    assert len(workers) == 2 and "OPENBLAS_NUM_THREADS" not in os.environ
    for worker in workers:
        variables = Path(f"/proc/{worker.pid}/environ").read_bytes().split(b"\0")
        assert {b"OPENBLAS_NUM_THREADS=1", b"OMP_NUM_THREADS=1", b"MKL_NUM_THREADS=1"} <= set(variables)


def test_a_killed_worker_is_one_clear_error(blocks: Iterator[Block]) -> None:
    active_children()[0].kill()
    with pytest.raises(PipelineError, match="a process that reads frames was killed, perhaps for want of memory"):
        list(blocks)


SCAN = """
import signal
from multiprocessing import active_children
from multiprocessing.context import SpawnProcess
from pathlib import Path
from pipeline.core.errors import run_command
from pipeline.raw import scan
from pipeline.raw.index import index_folder
def main():
    signal.signal(signal.SIGINT, signal.default_int_handler)  # a background job of a shell ignores it
    scan.BLOCK_ROWS = 8
    rows = index_folder(Path("set")).rows()
    while True:
        for block in scan.scan_rows(Path("set"), rows, workers=2):
            print(*(worker.pid for worker in active_children()), flush=True)
if __name__ == "__main__":
    run_command(main)
"""


@pytest.mark.environment
@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGKILL], ids=["Ctrl-C", "killed"])
def test_workers_end_with_their_parent(many: Path, tmp_path: Path, how: signal.Signals) -> None:
    shutil.copytree(many, tmp_path / "set")
    (tmp_path / "run.py").write_text(SCAN)
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    parent = subprocess.Popen(
        [sys.executable, "run.py"],
        cwd=tmp_path,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    workers = [int(pid) for pid in parent.stdout.readline().split()]
    assert len(workers) == 2 and all(map(is_running, workers))
    os.killpg(parent.pid, how) if how == signal.SIGINT else parent.kill()  # Ctrl-C reaches the workers too
    _, errors = parent.communicate(timeout=30)
    assert parent.returncode == (130 if how == signal.SIGINT else -9)
    deadline = time.monotonic() + 10
    while any(map(is_running, workers)) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not any(map(is_running, workers))
    assert "Traceback" not in errors and (how == signal.SIGKILL or errors.startswith("error: interrupted"))

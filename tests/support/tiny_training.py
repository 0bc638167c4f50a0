"""A training that takes no time, and what it must leave whatever becomes of wandb."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import torch

from pipeline.tracking import wandb_run
from pipeline.training.tracker import Tracker

CPU = torch.device("cpu")
CELL, OTHER = Path("runs/a/b"), Path("runs/a/c")
SOON = 15  # seconds: what a busy machine may take, and less than waiting for wandb takes
PATHS = os.pathsep.join(map(str, Path(__file__).parents[:3]))  # this folder, the tests and the project


def train(folder: Path, during=lambda: None) -> float:
    """Train, with a call of `during` after the first of two epochs; return the seconds it took."""
    start = time.perf_counter()
    with Tracker(folder, [0], 2, CPU, {}) as tracker:
        tracker.epoch(0, {"epoch": 1, "lr": 0.1, "val_loss": 2.0})
        during()
        tracker.epoch(0, {"epoch": 2, "lr": 0.1, "val_loss": 1.0})
        tracker.summary({"accuracy": 0.5})
    return time.perf_counter() - start


def train_for_ever(timeout_s: float) -> None:
    """Train until the process is ended; wandb would have `timeout_s` seconds to end."""
    signal.signal(signal.SIGINT, signal.default_int_handler)  # a background job ignores it, and so do its children
    wandb_run.TIMEOUT_S = timeout_s
    with Tracker(CELL, [0], 2, CPU, {}) as tracker:
        tracker.epoch(0, {"epoch": 1, "lr": 0.1, "val_loss": 2.0})
        time.sleep(120)


def start_python(code: str) -> subprocess.Popen[str]:
    """Start Python in a process group of its own, with the helpers of the tests at hand."""
    environment = os.environ | {"PYTHONPATH": PATHS}
    return subprocess.Popen(
        [sys.executable, "-c", code], env=environment, start_new_session=True, stderr=subprocess.PIPE, text=True
    )


def untouched(folder: Path) -> bool:
    """Return whether a training left all that it leaves, byte for byte as without wandb."""
    return (folder / "history.tsv").read_text() == "epoch\tlr\tval_loss\tval_loss_seed0\n1\t0.1\t2\t2\n2\t0.1\t1\t1\n"


def warnings(capsys) -> list[str]:
    return [line for line in capsys.readouterr().err.splitlines() if line]


def family(pid: int | None = None) -> list[psutil.Process]:
    """Return every process that one has started (this one, without `pid`), and those that they started.

    Helpers of multiprocessing, which earlier tests have left for the whole process, do not count.
    """
    return [process for process in psutil.Process(pid).children(recursive=True) if not _is_resource_tracker(process)]


def _is_resource_tracker(process: psutil.Process) -> bool:
    try:
        return any("resource_tracker" in word for word in process.cmdline())
    except psutil.Error:
        return False


def all_end(processes: list[psutil.Process], seconds: float) -> bool:
    return not psutil.wait_procs(processes, timeout=seconds)[1]


def fill_and_train(folder: Path) -> float:
    def fill() -> None:
        """Take what room there is, in the middle of the run."""
        time.sleep(1)
        try:
            Path("disk/filler").write_bytes(bytes(2**21))
        except OSError:
            pass

    return train(folder, fill)

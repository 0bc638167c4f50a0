"""wandb's processes die, hang or outlive their training: one warning, no wait, and none of them stays."""

import os
import signal
import threading
import time
from pathlib import Path

import psutil
import pytest

from pipeline.tracking import wandb_run
from pipeline.tracking.wandb_run import start_run
from support.offline import read_run, runs
from support.tiny_training import CELL, OTHER, SOON, all_end, family, start_python, train, untouched, warnings

pytestmark = [pytest.mark.slow, pytest.mark.alone]  # clocks
OURS, WANDBS = "pipeline.tracking.wandb_process", "wandb-core"  # the process we start, and the one that wandb starts


def find(words: str, pid: int | None = None) -> psutil.Process:
    """Return a process that runs `words`, once the run is open."""
    deadline = time.monotonic() + 20
    while not runs(Path.cwd()):
        assert time.monotonic() < deadline
        time.sleep(0.05)
    time.sleep(0.3)
    return next(process for process in family(pid) if words in " ".join(process.cmdline()))


@pytest.mark.parametrize(("words", "reason"), [(OURS, "its process ended with -9"), (WANDBS, "Connection")])
def test_a_process_dies(home, capsys, words, reason):
    processes = []

    def kill() -> None:
        victim = find(words)
        processes.extend(family())
        victim.kill()
        time.sleep(0.3)

    assert train(CELL, kill) < SOON and untouched(CELL)
    (warning,) = warnings(capsys)
    assert f"wandb is off for a/b: {reason}" in warning
    assert len(processes) == 2 and all_end(processes, SOON)
    assert train(OTHER) < SOON and read_run(runs(home)[-1]).code == 0  # the next run has processes of its own


@pytest.mark.parametrize("words", [OURS, WANDBS])
def test_a_process_hangs(home, monkeypatch, capsys, words):
    monkeypatch.setattr(wandb_run, "TIMEOUT_S", 2)
    processes = []

    def suspend() -> None:
        find(words).suspend()
        processes.extend(family())

    assert 2 < train(CELL, suspend) < SOON and untouched(CELL)
    (warning,) = warnings(capsys)
    assert "wandb is off for a/b: no answer for 2 seconds" in warning
    assert len(processes) == 2 and all_end(processes, 5)
    assert not [thread.name for thread in threading.enumerate() if thread.name.startswith("wandb ")]  # none to meddle
    train(OTHER)
    assert len(runs(home)) == 1  # once is enough: later runs do without


def test_messages_that_nobody_reads_are_not_waited_for(home, monkeypatch, capsys):
    monkeypatch.setattr(wandb_run, "TIMEOUT_S", 2)
    run = start_run("a/b", {})
    find(OURS).suspend()
    start = time.perf_counter()
    for _ in range(100):
        run.send("log", row={"text": "x" * 2**16})  # as much as the pipe holds
    assert time.perf_counter() - start < 1
    run.finish(0)
    assert 2 < time.perf_counter() - start < SOON and len(warnings(capsys)) == 1 and all_end(family(), 5)


def test_a_training_that_is_killed_is_a_failed_run_and_no_process_stays(home):
    training = start_python("import tiny_training; tiny_training.train_for_ever(10)")
    find(WANDBS, training.pid)
    processes = family(training.pid)
    training.kill()
    assert len(processes) == 2 and all_end(processes, 10)
    logged = read_run(runs(home)[0])
    assert logged.code == 1 and [item["epoch"] for item in logged.history] == [1]
    training.communicate()


def test_no_process_stays_where_wandb_hangs_and_the_training_is_killed(home):
    training = start_python("import tiny_training; tiny_training.train_for_ever(1)")
    find(WANDBS, training.pid).suspend()
    processes = family(training.pid)
    training.kill()
    assert len(processes) == 2 and all_end(processes, SOON)
    training.communicate()


def test_ctrl_c_is_the_trainings_alone(home):
    training = start_python("import tiny_training; tiny_training.train_for_ever(10)")
    find(WANDBS, training.pid)
    processes = family(training.pid)
    os.killpg(training.pid, signal.SIGINT)  # as a terminal does: to every process of the group
    _, errors = training.communicate(timeout=SOON)
    assert "KeyboardInterrupt" in errors and "warning" not in errors
    assert all_end(processes, 1) and not CELL.exists()
    logged = read_run(runs(home)[0])
    assert logged.code == 1 and [item["epoch"] for item in logged.history] == [1]

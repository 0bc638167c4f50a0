"""Slots: never more at work than there are, whoever holds them and however the holder ends."""

import os
import signal
import subprocess
import sys
import threading
from pathlib import Path
from time import monotonic, sleep

import pytest

from pipeline.core.slots import count_slots, make_slots, record_seconds, slot, try_slot
from support.commands import ROOT

# four threads, each of which writes a line when it begins and when it ends
WORKER = """
import os, sys, time
from threading import Thread
from pipeline.core.slots import slot
log = os.open(sys.argv[1], os.O_WRONLY | os.O_APPEND)
def work():
    with slot(lambda: None):
        os.write(log, b"+")
        time.sleep(0.1)
        os.write(log, b"-")
threads = [Thread(target=work) for _ in range(4)]
[thread.start() for thread in threads]
[thread.join() for thread in threads]
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Three slots."""
    make_slots(tmp_path / "slots", 3)
    return tmp_path / "slots"


@pytest.fixture
def stage(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Make this process a stage of a driver, with a slot that the driver holds."""
    monkeypatch.setenv("PIPELINE_SLOTS", str(folder))
    held = try_slot(folder)
    assert held is not None
    yield
    held.close()


def most_at_a_time(log: str) -> int:
    """Return the highest number of beginnings without an end."""
    return max(log[: place + 1].count("+") - log[: place + 1].count("-") for place in range(len(log)))


@pytest.mark.alone  # the processes have to overlap, which beside other tests they may not
def test_processes_with_many_threads_never_hold_more_than_all_slots(folder: Path, tmp_path: Path) -> None:
    log = tmp_path / "log"
    log.touch()
    environment = os.environ | {"PIPELINE_SLOTS": str(folder), "PYTHONPATH": str(ROOT)}
    held = [try_slot(folder), try_slot(folder)]  # one for each process, as a driver holds them
    command = [sys.executable, "-c", WORKER, str(log)]
    processes = [subprocess.Popen(command, env=environment) for _ in held]
    for process, its_slot in zip(processes, held, strict=True):
        assert process.wait(30) == 0
        its_slot.close()
    assert log.read_text().count("+") == 8 and most_at_a_time(log.read_text()) == 3


def test_a_killed_process_frees_its_slot(folder: Path) -> None:
    code = "import sys, time; from pathlib import Path; from pipeline.core.slots import try_slot\n"
    code += "held = [try_slot(Path(sys.argv[1])) for _ in range(3)]; print(len(held), flush=True); time.sleep(60)"
    holder = subprocess.Popen([sys.executable, "-c", code, str(folder)], cwd=ROOT, stdout=subprocess.PIPE)
    holder.stdout.readline()
    assert try_slot(folder) is None
    holder.send_signal(signal.SIGKILL)
    holder.wait()
    held = [try_slot(folder) for _ in range(4)]
    assert [each is not None for each in held] == [True, True, True, False]


def test_the_first_thread_has_the_slot_of_its_process(stage: None, folder: Path) -> None:
    others = [try_slot(folder), try_slot(folder)]  # none is left
    with slot(lambda: None):
        assert try_slot(folder) is None
    others[0].close()


def test_a_slot_that_no_thread_needs_is_free_for_other_processes(stage: None, folder: Path) -> None:
    """Of two threads the first ends: what stays held is the slot of the process."""
    inside, leave = threading.Barrier(3), [threading.Event(), threading.Event()]

    def work(place: int) -> None:
        with slot(lambda: None):
            inside.wait(10)
            leave[place].wait(10)

    threads = [threading.Thread(target=work, args=(place,)) for place in (0, 1)]
    for thread in threads:
        thread.start()
    inside.wait(10)
    free = try_slot(folder)
    assert free is not None and try_slot(folder) is None
    free.close()
    leave[0].set()
    threads[0].join()
    free = [try_slot(folder), try_slot(folder)]
    assert None not in free and try_slot(folder) is None
    leave[1].set()
    threads[1].join()


def test_a_wait_ends_when_the_check_raises(stage: None, folder: Path) -> None:
    held = [try_slot(folder), try_slot(folder)]
    start = monotonic()

    def check() -> None:
        if monotonic() - start > 0.2:
            raise InterruptedError

    with slot(lambda: None), pytest.raises(InterruptedError), slot(check):
        pytest.fail("four threads on three slots")
    assert len(held) == 2 and monotonic() - start < 5


def test_without_a_driver_there_are_as_many_slots_as_cores(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("PIPELINE_SLOTS", raising=False)
    monkeypatch.setattr("pipeline.core.slots.count_cores", lambda: 2)
    assert count_slots() == 2
    log: list[str] = []

    def work() -> None:
        with slot(lambda: None):
            log.append("+")
            sleep(0.05)
            log.append("-")

    threads = [threading.Thread(target=work) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert log.count("-") == 6 and most_at_a_time("".join(log)) == 2


def test_a_driver_says_how_many_there_are(stage: None) -> None:
    assert count_slots() == 3


def test_computing_times_are_recorded_for_the_driver(
    stage: None, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DVC_STAGE", "fusion@late-strided")
    record_seconds([1.25, 2.0])
    assert (folder / "record.jsonl").read_text() == '{"stage": "fusion@late-strided", "seconds": [1.25, 2.0]}\n'


def test_no_time_is_recorded_without_a_driver(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("PIPELINE_SLOTS", raising=False)
    monkeypatch.chdir(tmp_path)
    record_seconds([1.0])
    assert list(tmp_path.iterdir()) == []


def test_a_process_of_torchrun_has_one_slot(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its seeds train in one order: ranks with another order would wait for each other for ever."""
    monkeypatch.setattr("pipeline.core.slots.count_cores", lambda: 4)
    assert count_slots() == 4
    monkeypatch.setenv("TORCHELASTIC_RUN_ID", "1")
    assert count_slots() == 1

"""A driver that is interrupted or killed leaves no process and nothing half-written, and the next one goes on."""

import signal
import subprocess
from collections.abc import Callable
from pathlib import Path
from time import sleep

import pytest
import yaml

from pipeline.core.errors import PipelineError
from pipeline.jobs.driver import repro
from support.commands import ENVIRONMENT, shell
from support.processes import is_running, wait_for

Start = Callable[..., subprocess.Popen]
Log = Callable[[], list[str]]
# until a file `go` appears; the process that waits is a child of the shell
PATIENT = """
echo begin $1 >> log
sh -c 'echo $$ >> pids; while ! test -e go; do sleep 0.05; done; sleep 0'
cat first > wide-$1
echo end $1 >> log
"""
pytestmark = pytest.mark.environment


@pytest.fixture
def patient(project: Path) -> Path:
    """Make the three stages beside each other wait."""
    (project / "wide.sh").write_text(PATIENT)
    (project / ".gitignore").write_text("log\npids\ngo\n")
    return project


def count_begun(project: Path) -> int:
    path = project / "pids"
    return len(path.read_text().split()) if path.exists() else 0


@pytest.mark.parametrize("how, code", [(signal.SIGINT, 130), (signal.SIGKILL, -9)], ids=["Ctrl-C", "kill -9"])
def test_all_ends_and_the_next_run_does_the_rest(
    patient: Path, start: Start, log: Log, how: signal.Signals, code: int
) -> None:
    driver = start("--jobs", "2")
    wait_for(lambda: count_begun(patient) == 2)
    driver.send_signal(how)
    _, errors = driver.communicate(timeout=20)
    assert driver.returncode == code and "Traceback" not in errors
    if how == signal.SIGINT:
        assert errors.splitlines()[-1] == "error: interrupted; nothing half-done looks whole, run it again"
    pids = (patient / "pids").read_text().split()
    wait_for(lambda: not any(map(is_running, pids)))
    begun = log()
    assert begun[0] == "alone" or begun[0] == "first"
    assert "end" not in begun and (patient / "dvc.lock").read_text().count("cmd:") == 2  # first, alone
    (patient / "go").touch()
    repro()
    assert sorted(log()) == sorted(["begin", "end"] * 3 + [*"xxyyzz"])
    assert shell(patient, "dvc status") == "Data and pipelines are up to date.\n"
    assert [path for path in patient.iterdir() if ".partial" in path.name or path.name.startswith(".dvc.lock")] == []


def test_killed_at_any_moment_it_leaves_a_whole_lock_and_the_next_run_ends_it(project: Path, start: Start) -> None:
    (project / "wide.sh").write_text("sleep 0.3; cat first > wide-$1\n")
    for tenths in (4, 8, 11, 14, 17, 20):  # it starts in about 1 second
        driver = start("--jobs", "2")
        sleep(tenths / 10)
        driver.kill()
        driver.wait()
        lock = project / "dvc.lock"
        assert not lock.exists() or "outs" in yaml.safe_load(lock.read_text())["stages"]["first"]
    repro()
    assert (project / "last").read_text() == "1\n1\n1\n"
    assert shell(project, "dvc status") == "Data and pipelines are up to date.\n"


def test_a_second_driver_and_dvc_say_that_one_is_at_work(patient: Path, start: Start) -> None:
    driver = start()
    wait_for(lambda: count_begun(patient) >= 1)
    with pytest.raises(PipelineError, match="^another `dvc` or `python -m pipeline repro` is at work"):
        repro()
    assert "Unable to acquire lock" in shell(patient, "dvc repro", expect=255)
    (patient / "go").touch()
    assert driver.wait(30) == 0 and shell(patient, "dvc status") == "Data and pipelines are up to date.\n"


def test_a_driver_beside_dvc_says_so_and_disturbs_nothing(patient: Path) -> None:
    dvc = subprocess.Popen(["dvc", "repro"], cwd=patient, env=ENVIRONMENT, stdout=subprocess.DEVNULL)
    wait_for(lambda: count_begun(patient) >= 1)
    with pytest.raises(PipelineError, match="^another `dvc` or `python -m pipeline repro` is at work"):
        repro()
    (patient / "go").touch()
    assert dvc.wait(60) == 0 and shell(patient, "dvc status") == "Data and pipelines are up to date.\n"


def test_no_more_stages_at_a_time_than_jobs(patient: Path, start: Start) -> None:
    driver = start("--jobs", "2")
    wait_for(lambda: count_begun(patient) == 2)
    sleep(1)
    assert count_begun(patient) == 2
    (patient / "go").touch()
    output, errors = driver.communicate(timeout=30)
    assert driver.returncode == 0 and count_begun(patient) == 3
    assert output.startswith("stages: 6 run, 0 restored, 0 unchanged; ")
    assert [line for line in errors.splitlines() if line.startswith("start")][-1] == "start last"
    assert sum(line.startswith("end ") for line in errors.splitlines()) == 6

"""wandb that fails costs one warning: no result, no stop, no wait."""

import errno
import os
import subprocess
import sys

import pytest

from pipeline.tracking.wandb_run import tempfile
from support.offline import read_run, runs
from support.tiny_training import CELL, PATHS, SOON, family, train, untouched, warnings

pytestmark = pytest.mark.slow  # a process for each of them

APART = ["unshare", "--mount", "--map-root-user", "sh", "-c"]  # what is mounted there is seen there alone


def mounts() -> bool:
    try:
        return subprocess.run([*APART, "mount -t tmpfs none /mnt"], capture_output=True).returncode == 0
    except OSError:
        return False


def test_the_folder_is_wandbs_own_choice_then_that_of_dvc_then_here(home, monkeypatch):
    train(CELL)
    monkeypatch.setenv("DVC_ROOT", str(home / "root"))  # DVC's queue works in a copy and throws it away
    train(CELL)
    monkeypatch.setenv("WANDB_DIR", str(home / "chosen"))
    train(CELL)
    assert [len(runs(folder)) for folder in (home, home / "root", home / "chosen")] == [1, 1, 1]


def test_nothing_is_printed_and_no_process_stays(home, capfd):
    train(CELL)
    assert capfd.readouterr() == ("a/b: accuracy 0.5000\n", "") and family() == []


def test_a_mode_that_does_not_exist(home, monkeypatch, capsys):
    monkeypatch.setenv("WANDB_MODE", "no such mode")
    assert train(CELL) < SOON and untouched(CELL)
    (warning,) = warnings(capsys)
    assert warning == ("warning: wandb is off for a/b: WANDB_MODE is no such mode; expected offline, online, disabled")
    assert not (home / "wandb").exists()


def test_an_older_name_of_offline(home, monkeypatch, capsys):
    monkeypatch.setenv("WANDB_MODE", "dryrun")
    train(CELL)
    assert warnings(capsys) == [] and read_run(runs(home)[0]).code == 0


def test_variables_that_another_run_left_change_nothing(home, monkeypatch, capsys):
    left = {"RUN_ID": "old", "RESUME": "must", "SERVICE": "3-1-tcp-localhost-1", "SWEEP_ID": "old", "MODE": "OFFLINE"}
    left |= {"SWEEP_PARAM_PATH": "/no/file", "CONFIG_PATHS": "/no/file"}
    for name, value in left.items():
        monkeypatch.setenv(f"WANDB_{name}", value)
    train(CELL)
    (file,) = runs(home)
    assert warnings(capsys) == [] and read_run(file).code == 0 and "old" not in file.name


def test_wandb_that_cannot_be_imported(home, monkeypatch, capsys):
    (home / "broken").mkdir()
    (home / "broken" / "wandb.py").write_text("print('noise')\nraise ImportError('gone')\n")
    monkeypatch.setenv("PYTHONPATH", str(home / "broken"))
    assert train(CELL) < SOON and untouched(CELL)
    assert warnings(capsys) == ["warning: wandb is off for a/b: ImportError gone"]


def test_something_else_has_the_name_of_the_folder(home, capsys):
    (home / "wandb").write_text("")
    assert train(CELL) < SOON and untouched(CELL)
    (warning,) = warnings(capsys)
    assert "wandb is off for a/b: FileExistsError" in warning


@pytest.mark.parametrize("number", [errno.EROFS, errno.ENOSPC])
def test_a_folder_that_accepts_no_file(home, monkeypatch, capsys, number):
    """Read-only or full: for root no permission is in the way, so the error of the system is simulated."""

    def refuse(*_, **__):
        raise OSError(number, "no")

    monkeypatch.setattr(tempfile, "TemporaryFile", refuse)
    assert train(CELL) < SOON and untouched(CELL)
    (warning,) = warnings(capsys)
    assert f"wandb is off for a/b: OSError [Errno {number}]" in warning and runs(home) == []


@pytest.mark.environment
@pytest.mark.skipif(not mounts(), reason="this system lets nobody mount a file system")
@pytest.mark.parametrize("options", ["ro", "size=64k", "size=1100k"])
def test_a_file_system_that_accepts_no_file(home, options):
    """A real one: read-only, full from the start, or full before the run ends."""
    (home / "disk").mkdir()
    code = "import tiny_training as t; t.fill_and_train(t.CELL)"
    mount = f"mount -t tmpfs -o {options} none disk && WANDB_DIR=disk {sys.executable} -c '{code}'"
    inside = os.environ | {"PYTHONPATH": PATHS}
    done = subprocess.run([*APART, mount], env=inside, capture_output=True, text=True)
    assert done.returncode == 0 and untouched(CELL), done.stderr
    assert done.stderr.count("warning: wandb is off for a/b: OSError") == 1 and "Traceback" not in done.stderr

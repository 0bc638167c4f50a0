"""How a command ends: one line for what a user can fix, a traceback for what only a programmer can."""

import os
import subprocess
import sys

import pytest
import torch

from pipeline.core.errors import run_command
from support.commands import ENVIRONMENT, ROOT


@pytest.mark.parametrize("fail", [lambda: torch.empty(10**15), lambda: bytearray(10**15)], ids=["torch", "Python"])
def test_want_of_memory_is_one_line(fail, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr("sys.argv", ["stage"])

    def main() -> None:
        fail()

    with pytest.raises(SystemExit) as ended:
        run_command(main)
    (line,) = capsys.readouterr().err.splitlines()
    assert ended.value.code == 1 and line.startswith("error: out of memory (")
    assert line.endswith("); lower batch_size, the widths or the number of seeds")


@pytest.mark.parametrize(
    "words, line",
    [
        (
            "could not create a primitive",
            "error: out of memory (could not create a primitive); lower batch_size, the widths or the number of seeds",
        ),
        (
            "std::bad_alloc",
            "error: out of memory (std::bad_alloc); lower batch_size, the widths or the number of seeds",
        ),
        (
            "can't start new thread",
            "error: can't start new thread: raise the limit, which is that of `ulimit -u` or the container's pids.max",
        ),
    ],
)
def test_want_that_libraries_raise_in_words_of_their_own_is_one_line(
    words: str, line: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("sys.argv", ["stage"])

    def main() -> None:
        raise RuntimeError(words)

    with pytest.raises(SystemExit, match="1"):
        run_command(main)
    assert capsys.readouterr().err == f"{line}\n"


def test_a_full_disk_without_a_file_is_that_of_the_working_directory(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("sys.argv", ["stage"])

    def main() -> None:
        raise OSError(28, "No space left on device")  # as a write raises it

    with pytest.raises(SystemExit, match="1"):
        run_command(main)
    place = f"free space on the disk of {os.getcwd()}"
    assert capsys.readouterr().err == f"error: [Errno 28] No space left on device; {place}\n"


def test_an_error_of_the_program_keeps_its_traceback(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.argv", ["stage"])

    def main() -> None:
        raise RuntimeError("shapes differ")

    with pytest.raises(RuntimeError, match="shapes differ"):
        run_command(main)


def test_a_stage_prints_the_code_of_a_sign_that_its_console_lacks() -> None:
    code = "from pipeline.core.errors import run_command; run_command(lambda: print('0.9 \u00b1 0.1'))"
    environment = ENVIRONMENT | {"PYTHONIOENCODING": "ascii"}
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, env=environment, capture_output=True, text=True)
    assert (done.returncode, done.stdout, done.stderr) == (0, "0.9 \\xb1 0.1\n", "")

"""`make setup` takes a Python of the range, prints one line if there is none, and remakes a wrong environment."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from support.projects import copy_makefile

EXPECTED = "expected >=3.11,<3.15; fix: make setup PYTHON=python3.12\n"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Create a project that requires no package."""
    copy_makefile(tmp_path)
    return tmp_path


def fake_python(path: Path, minor: str) -> Path:
    """Write a command that reports Python 3.`minor`."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"#!/bin/sh\necho {minor}\n")
    path.chmod(0o755)
    return path


def setup(folder: Path, *arguments: str) -> tuple[int, str]:
    """Run `make setup`; return its exit code and the first line of its errors."""
    outer = {"MAKEFLAGS", "MAKEOVERRIDES", "MFLAGS", "VENV", "PYTHON"}  # of the make that runs the tests
    environment = {name: value for name, value in os.environ.items() if name not in outer}
    done = subprocess.run(["make", "setup", *arguments], cwd=folder, env=environment, capture_output=True, text=True)
    return done.returncode, (done.stderr.splitlines(keepends=True) or [""])[0]


@pytest.mark.parametrize("minor", ["10", "15"])
def test_a_python_outside_the_range_is_one_clear_line_and_makes_nothing(folder: Path, minor: str) -> None:
    python = fake_python(folder / "python", minor)
    assert setup(folder, f"PYTHON={python}") == (2, f"error: {python}: found Python 3.{minor}, {EXPECTED}")
    assert not (folder / ".venv").exists()


@pytest.mark.parametrize("python", ["/no/python", "false"])
def test_no_python_is_one_clear_line(folder: Path, python: str) -> None:
    assert setup(folder, f"PYTHON={python}") == (2, f"error: {python}: found no Python 3, {EXPECTED}")


@pytest.mark.slow
def test_an_environment_is_made_and_kept(folder: Path) -> None:
    assert setup(folder, f"PYTHON={sys.executable}") == (0, "")
    assert (folder / ".venv" / "bin" / "activate").is_file()
    mark = folder / ".venv" / "mark"
    mark.touch()
    (folder / "requirements.txt").write_text("# newer\n")
    assert setup(folder) == (0, "") and mark.exists()
    python = fake_python(folder / "python", "10")
    assert setup(folder, f"PYTHON={python}")[0] == 2 and mark.exists()
    assert setup(folder) == (0, "") and mark.exists()


@pytest.mark.slow
def test_what_an_old_python_left_is_remade(folder: Path) -> None:
    for name in ("python", "pip"):
        fake_python(folder / ".venv" / "bin" / name, "10")
    assert setup(folder, f"PYTHON={sys.executable}") == (0, "")
    found = subprocess.run([folder / ".venv/bin/python", "-V"], capture_output=True, text=True).stdout
    assert found == f"Python {sys.version.split()[0]}\n"

"""make where something leaks in: -j, spaces, variables of Git, Python and pip, a moved clone. It runs fakes."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from support.commands import ROOT
from support.projects import copy_makefile

# answers with a version, makes environments of fakes, and notes what else it is asked to run, with its environment
PYTHON = """#!/bin/sh
case "$1 $2" in
    "-c import"*) echo 12 ;;
    "-m venv") rm -rf "$4" && mkdir -p "$4/bin" && cp "$0" "$4/bin/python" && cd "$4" &&
        printf '%s\\n' '#!/bin/sh' "here='$(pwd -P)'" '[ -d "$here" ] || exit 127' \\
            '[ "$1" != --version ] || exec echo "pip 1 from $here/lib/python3.12/site-packages/pip (python 3.12)"' \\
            'sleep 0.3; echo pip >> log; env > pip.env' > bin/pip && chmod +x bin/pip ;;
    *) echo "$*" >> log; env > python.env ;;
esac
"""
RUN = ["-m pipeline params", "-m pipeline data", "-m pipeline repro", "-m pipeline results"]


@pytest.fixture
def lab(tmp_path: Path) -> Path:
    """Create a project without packages, in a folder with spaces, and a Python beside it."""
    folder = tmp_path / "3. Semester" / "my lab"
    copy_makefile(folder)
    (folder / "scripts/make_venv.sh").chmod(0o644)  # a zip may lose the permission to execute
    python = folder.parent / "python"
    python.write_text(PYTHON)
    python.chmod(0o755)
    return folder


def make(folder: Path, *arguments: str, **variables: str) -> list[str]:
    """Run make, and return what it ran since the last call, one line a command."""
    outer = {"MAKEFLAGS", "MAKEOVERRIDES", "MFLAGS", "VENV", "PYTHON"}  # of the make that runs the tests
    environment = {name: value for name, value in os.environ.items() if name not in outer} | variables
    command = ["make", *arguments] if "VENV" in variables else ["make", *arguments, f"PYTHON={folder.parent}/python"]
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    log = folder / "log"
    lines = log.read_text().splitlines()
    log.unlink()
    return lines


def given(file: Path) -> dict[str, str]:
    """Return the variables that a fake was given."""
    return dict(line.split("=", 1) for line in file.read_text().splitlines() if "=" in line)


def test_the_environment_comes_before_what_runs_in_it(lab: Path) -> None:
    assert make(lab, "repro", MAKEFLAGS="-j4") == ["pip", *RUN]


def test_an_environment_of_ones_own_may_have_spaces_in_its_path(lab: Path) -> None:
    for venv in (lab.parent / "my env", Path("env 2")):
        (lab / venv / "bin").mkdir(parents=True)
        shutil.copy2(lab.parent / "python", lab / venv / "bin" / "python")
        assert make(lab, "repro", VENV=str(venv)) == RUN
        assert given(lab / "python.env")["PATH"].startswith(f"{lab / venv}/bin:")


def test_variables_of_hooks_and_other_pythons_go_no_further(lab: Path) -> None:
    git = {name: "/elsewhere" for name in ("GIT_DIR", "GIT_WORK_TREE", "GIT_INDEX_FILE", "GIT_COMMON_DIR")}
    python = {name: "/elsewhere" for name in ("PYTHONPATH", "PYTHONHOME", "PYTHONSAFEPATH")}
    pip = {name: "/elsewhere" for name in ("PIP_TARGET", "PIP_PREFIX", "PIP_ROOT", "PIP_PYTHON")}
    make(lab, "repro", **git, **python, **pip, PIP_USER="1", PIP_INDEX_URL="https://index.example")
    for file in (lab / "pip.env", lab / "python.env"):
        variables = given(file)
        assert "/elsewhere" not in variables.values() and variables["PIP_USER"] == "0"
        assert variables["PIP_INDEX_URL"] == "https://index.example"


@pytest.mark.parametrize("move", [Path.rename, shutil.copytree], ids=["moved", "copied"])
def test_a_clone_that_was_moved_or_copied_gets_an_environment_of_its_own(lab: Path, move) -> None:
    assert make(lab, "setup") == ["pip"] and (lab / ".venv/bin/python").exists()
    mark = lab / ".venv" / "mark"
    mark.touch()
    assert make(lab, "setup") == ["pip"] and mark.exists()
    other = lab.with_name("other")
    move(lab, other)
    assert make(other, "setup") == ["pip"] and not (other / ".venv" / "mark").exists()
    assert (other / ".venv/ready").read_text() == f"{other}\n"


def test_tests_write_into_no_repository_that_a_hook_names(tmp_path: Path) -> None:
    code = "from support.commands import shell; print(shell('.', 'git init -q . && git rev-parse --git-dir'))"
    hook = {"GIT_DIR": f"{tmp_path}/hook", "GIT_INDEX_FILE": f"{tmp_path}/index", "PYTHONPATH": str(ROOT / "tests")}
    folder = tmp_path / "folder"
    folder.mkdir()
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=folder, env=os.environ | hook, capture_output=True, text=True
    )
    assert done.stdout == ".git\n\n" and not (tmp_path / "hook").exists(), done.stderr

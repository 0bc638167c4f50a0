"""A small DVC project to drive: a chain and three stages beside each other."""

import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from support.commands import ENVIRONMENT, ROOT, shell

# first -> wide@x, wide@y, wide@z -> last; alone depends on nothing
STAGES = """
stages:
  first: {cmd: sh first.sh, deps: [first.sh], outs: [first]}
  wide:
    foreach: [x, y, z]
    do: {cmd: "sh wide.sh ${item}", deps: [first, wide.sh], outs: ["wide-${item}"]}
  last: {cmd: cat wide-x wide-y wide-z > last, deps: [wide-x, wide-y, wide-z], params: [number], outs: [last]}
  alone: {cmd: sh alone.sh, deps: [alone.sh], outs: [alone]}
"""
# a shell starts background jobs with Ctrl-C ignored, and tests may run in one
COMMAND = """
import runpy, signal
signal.signal(signal.SIGINT, signal.default_int_handler)
runpy.run_module("pipeline", run_name="__main__")
"""


@pytest.fixture(scope="session")
def pristine(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Make the project, not to be changed; each of its scripts writes its result, and a line into `log`."""
    folder = tmp_path_factory.mktemp("jobs") / "project"
    folder.mkdir()
    (folder / "dvc.yaml").write_text(STAGES)
    (folder / "params.yaml").write_text("number: 1\n")
    (folder / ".gitignore").write_text("log\n")
    (folder / "first.sh").write_text("echo first >> log; echo 1 > first\n")
    (folder / "wide.sh").write_text("echo $1 >> log; cat first > wide-$1\n")
    (folder / "alone.sh").write_text("echo alone >> log; echo 1 > alone\n")
    shell(folder, "git init -q && dvc init -q && git add -A && git commit -qm all")
    return folder


@pytest.fixture
def project(pristine: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Copy the project and enter the copy."""
    folder = Path(shutil.copytree(pristine, tmp_path / "project"))
    monkeypatch.chdir(folder)
    for name in ("DVC_GLOBAL_CONFIG_DIR", "DVC_SYSTEM_CONFIG_DIR", "DVC_SITE_CACHE_DIR", "DVC_NO_ANALYTICS"):
        monkeypatch.setenv(name, ENVIRONMENT[name])
    return folder


@pytest.fixture
def log(project: Path) -> Callable[[], list[str]]:
    """Return a function that gives the lines of `log` since its last call."""

    def lines() -> list[str]:
        path = project / "log"
        found = path.read_text().split() if path.exists() else []
        path.unlink(missing_ok=True)
        return found

    return lines


@pytest.fixture
def start(project: Path) -> Iterator[Callable[..., subprocess.Popen]]:
    """Return a function that starts `python -m pipeline repro`, as from a terminal of its own."""
    started = []

    def run(*arguments: str) -> subprocess.Popen:
        command = [sys.executable, "-c", COMMAND, "repro", *arguments]
        environment = ENVIRONMENT | {"PYTHONPATH": str(ROOT)}
        started.append(
            subprocess.Popen(
                command, cwd=project, env=environment, text=True, stderr=subprocess.PIPE, stdout=subprocess.PIPE
            )
        )
        return started[-1]

    yield run
    for process in started:
        process.kill()
        process.communicate()

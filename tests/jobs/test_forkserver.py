"""Stages of the project start as forks of one process that has imported their libraries."""

from pathlib import Path

import pytest

from pipeline.core.errors import PipelineError
from pipeline.jobs.driver import repro

pytestmark = pytest.mark.slow

STAGES = """
stages:
  write:
    foreach: [first, second]
    do: {cmd: "python -m stages.write ${item} \\"$DVC_STAGE\\"", deps: [stages/write.py], outs: ["${item}.txt"]}
"""
LIBRARY = """
from pathlib import Path
with Path("imports").open("a") as log:
    log.write("imported\\n")
"""
WRITE = """
import sys, threading
import library
if __name__ == "__main__":
    with open(sys.argv[1] + ".txt", "w") as file:
        file.write(f"{sys.argv[1:]} {threading.active_count()} {sys.stdin.read()!r}")
    print("written")
"""


@pytest.fixture
def stages(project: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Make a project of Python stages, which import a library that logs its imports."""
    (project / "dvc.yaml").write_text(STAGES)
    (project / "library.py").write_text(LIBRARY)
    (project / "stages").mkdir()
    (project / "stages/__init__.py").touch()
    (project / "stages/write.py").write_text(WRITE)
    (project / "stages/broken.py").write_text("import no_such_library\n")  # of no stage here
    return project


def test_a_library_is_imported_once_for_all_stages(stages: Path) -> None:
    assert repro().startswith("stages: 2 run,")
    assert (stages / "first.txt").read_text() == "['first', 'write@first'] 1 ''"
    assert (stages / "second.txt").read_text() == "['second', 'write@second'] 1 ''"
    assert (stages / "imports").read_text() == "imported\n"
    assert (stages / ".dvc/tmp/jobs/logs/write@first.log").read_text() == "written\n"


@pytest.mark.parametrize(
    "code, message",
    [
        ("raise SystemExit(3)", "exit code 3; its log .* is empty"),
        ("raise ValueError('no number')", "exit code 1; [^$]*ValueError: no number"),
        (
            "import os, signal; os.kill(os.getpid(), signal.SIGKILL)",
            "ended by SIGKILL, perhaps for want of memory; its log .* is empty",
        ),
        ("import no_such_library", "exit code 1; [^$]*No module named 'no_such_library'"),
    ],
)
def test_a_stage_ends_as_it_would_alone(stages: Path, code: str, message: str) -> None:
    (stages / "stages/write.py").write_text(f"if __name__ == '__main__':\n    {code}\n")
    with pytest.raises(PipelineError, match=f"^stage write@[a-z]+: {message}"):
        repro()


def test_a_server_that_was_killed_is_an_error(stages: Path) -> None:
    kill = "import os, signal\nos.kill(os.getppid(), signal.SIGKILL)\n"
    (stages / "stages/write.py").write_text(f"if __name__ == '__main__':\n    {kill.replace(chr(10), '; ')}\n")
    with pytest.raises(PipelineError, match="^the process that starts stages was killed"):
        repro()

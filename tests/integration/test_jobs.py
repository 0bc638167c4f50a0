"""The finished run, of two trainings at a time: the bytes of `dvc repro` and of one training at a time."""

import shutil
from pathlib import Path

import pytest

from support.commands import REPRO, UNTRACKED, shell, stages_run
from support.projects import copy_project

pytestmark = pytest.mark.slow

# made from times and memory, which stand in runs/times/
TIMED = {"costs.png", "report.html", "report.md", "fusion.csv", "fusion.md", "ablation.csv", "ablation.md"}


def contents(runs: Path) -> dict[str, bytes]:
    """Return the bytes of every file that repeats."""
    files = {path.relative_to(runs): path.read_bytes() for path in runs.rglob("*") if path.is_file()}
    return {
        str(path): content for path, content in files.items() if path.parts[0] != "times" and path.name not in TIMED
    }


@pytest.mark.parametrize("command", ["dvc repro", f"{REPRO} --jobs 1"])
def test_every_number_of_jobs_gives_the_bytes_of_dvc_repro(finished_run: Path, tmp_path: Path, command: str) -> None:
    project = copy_project(finished_run, tmp_path / "project")
    for made in (project / "runs", project / ".dvc" / "cache" / "runs"):  # nothing to restore
        shutil.rmtree(made)
    (project / "dvc.lock").unlink()
    assert len(stages_run(shell(project, f"{UNTRACKED} {command}"))) == 20
    assert shell(project, "dvc status") == "Data and pipelines are up to date.\n"
    assert stages_run(shell(project, "dvc repro")) == set()
    ours, theirs = contents(project / "runs"), contents(finished_run / "runs")
    assert set(ours) == set(theirs) and len(ours) > 50
    assert [name for name in ours if ours[name] != theirs[name]] == []

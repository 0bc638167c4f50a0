"""The pipeline by the driver: the bytes of `dvc repro`, whatever the number of trainings at a time."""

import shutil
from pathlib import Path

import pytest

from support.commands import shell
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


@pytest.mark.parametrize("jobs", [1, 2])
def test_every_number_of_jobs_gives_the_bytes_of_dvc_repro(finished_run: Path, tmp_path: Path, jobs: int) -> None:
    project = copy_project(finished_run, tmp_path / "project")
    for made in (project / "runs", project / ".dvc" / "cache" / "runs"):  # nothing to restore
        shutil.rmtree(made)
    (project / "dvc.lock").unlink()
    output = shell(project, f"python -m pipeline repro --jobs {jobs}")
    assert "stages: 20 run, 0 restored, 0 unchanged" in output
    assert shell(project, "dvc status") == "Data and pipelines are up to date.\n"
    assert "Running stage" not in shell(project, "dvc repro")
    ours, theirs = contents(project / "runs"), contents(finished_run / "runs")
    assert set(ours) == set(theirs) and len(ours) > 50
    assert [name for name in ours if ours[name] != theirs[name]] == []

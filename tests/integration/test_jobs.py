"""The pipeline by the driver: the bytes of `dvc repro`, whatever the number of trainings at a time."""

import shutil
from pathlib import Path

import pytest

from support.commands import shell
from support.projects import copy_project

pytestmark = pytest.mark.slow

# they hold times and memory, or are made from files that do
TIMED = {
    "timings.tsv",
    "costs.png",
    "report.html",
    "report.md",
    "fusion.csv",
    "fusion.md",
    "ablation.csv",
    "ablation.md",
}


def contents(runs: Path) -> dict[str, bytes]:
    """Return the bytes of every file that repeats, without the lines of metrics that hold times and memory."""
    files = {str(path.relative_to(runs)): path.read_bytes() for path in runs.rglob("*") if path.is_file()}
    return {
        name: b"\n".join(line for line in text.split(b"\n") if not line.strip().startswith((b'"seconds', b'"peak')))
        for name, text in files.items()
        if Path(name).name not in TIMED
    }


@pytest.mark.parametrize("jobs", [1, 2])
def test_every_number_of_jobs_gives_the_bytes_of_dvc_repro(finished_run: Path, tmp_path: Path, jobs: int) -> None:
    project = copy_project(finished_run, tmp_path / "project")
    for made in (project / "runs", project / ".dvc" / "cache" / "runs"):  # nothing to restore
        shutil.rmtree(made)
    (project / "dvc.lock").unlink()
    output = shell(project, f"python -m pipeline repro --jobs {jobs}")
    assert "stages: 17 run, 0 restored, 0 unchanged" in output
    assert shell(project, "dvc status") == "Data and pipelines are up to date.\n"
    assert "Running stage" not in shell(project, "dvc repro")
    ours, theirs = contents(project / "runs"), contents(finished_run / "runs")
    assert set(ours) == set(theirs) and len(ours) > 50
    assert [name for name in ours if ours[name] != theirs[name]] == []

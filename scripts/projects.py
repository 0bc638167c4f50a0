"""Projects in scratch folders: the code of this one with data of its own, run by the commands that a user types."""

import os
import shutil
import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path

import yaml

from pipeline.core.errors import PipelineError
from pipeline.core.files import sha256

SOURCES = ("pipeline", "stages", "pretrained", "presets", "dvc.yaml", "params.yaml", ".dvcignore")
TIMES = Path("runs/times")
# the stages that print times, in one process
WRITE_TIMES = "from stages import compare, report; compare.main('fusion'); compare.main('ablation'); report.main()"
ENVIRONMENT = os.environ | {
    "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
    "DVC_NO_ANALYTICS": "1",
    "WANDB_MODE": "disabled",
}


def make_project(folder: Path) -> None:
    """Copy the code into an absent folder, as a repository of DVC without Git and without data."""
    folder.mkdir(parents=True)
    for name in SOURCES:
        copy = shutil.copytree if Path(name).is_dir() else shutil.copy2
        copy(name, folder / name)
    (folder / ".dvc").mkdir()
    run(folder, "dvc config -q core.no_scm true")


def write_state_at_every_epoch(folder: Path) -> None:
    """Edit the code of a project whose epochs are too short for a state by the clock.

    The bytes of results do not depend on when states are written. Raises PipelineError if the code has changed.
    """
    path = folder / "pipeline/training/states.py"
    code, line = path.read_text(), "SECONDS_BETWEEN_STATES = 10 "
    if line not in code:
        raise PipelineError(f"{path}: found no line {line.strip()}, expected it; adapt scripts/projects.py")
    path.write_text(code.replace(line, "SECONDS_BETWEEN_STATES = 0 "))


def run(folder: Path, command: str, check: bool = True) -> subprocess.CompletedProcess[str]:
    """Run a line of shell in a project; raises RuntimeError with its output if it fails, unless `check` is false."""
    done = subprocess.run(
        command, shell=True, cwd=folder, env=ENVIRONMENT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )
    if check and done.returncode:
        raise RuntimeError(f"{folder}: `{command}` gave exit code {done.returncode}:\n{done.stdout}")
    return done


def apply_preset(folder: Path, preset: str) -> None:
    """Merge a preset over the params.yaml of a project."""
    run(folder, f"python -m pipeline preset {preset} --out merged.yaml && mv merged.yaml params.yaml")


def forget_stages(folder: Path, names: Iterable[str]) -> None:
    """Delete the outputs of stages, their records, and what DVC could restore them from: they have to run."""
    path = folder / "dvc.lock"
    lock = yaml.safe_load(path.read_text())
    for name in names:
        for out in lock["stages"].pop(name)["outs"]:
            each = folder / out["path"]
            shutil.rmtree(each) if each.is_dir() else each.unlink(missing_ok=True)
    path.write_text(yaml.safe_dump(lock, sort_keys=False))
    shutil.rmtree(folder / ".dvc/cache/runs", ignore_errors=True)


def read_stages(folder: Path) -> dict[str, dict]:
    """Return the records of dvc.lock, by stage."""
    return yaml.safe_load((folder / "dvc.lock").read_text())["stages"]


def use_times_of(reference: Path, folder: Path) -> None:
    """Give a project the times of another, and write anew what prints them: then no file depends on a clock."""
    if folder != reference:
        shutil.rmtree(folder / TIMES)
        shutil.copytree(reference / TIMES, folder / TIMES)
    run(folder, f'python -c "{WRITE_TIMES}"')


def compare_results(reference: Path, folder: Path) -> list[str]:
    """Return the paths of the files below data/ and runs/ whose bytes differ, or that one project lacks."""
    ours, theirs = _digests(folder), _digests(reference)
    return sorted(path for path in ours.keys() | theirs.keys() if ours.get(path) != theirs.get(path))


def _digests(folder: Path) -> dict[str, str]:
    return {
        str(path.relative_to(folder)): sha256(path)
        for name in ("data", "runs")
        for path in (folder / name).rglob("*")
        if path.is_file() and path.name != ".gitignore"
    }

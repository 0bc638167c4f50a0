"""Run everything twice from nothing, and compare every byte that no clock made: `make repeat`.

The first run shares all cores among stages and seeds, the second is `dvc repro`, one stage after another.
"""

import shutil
from pathlib import Path
from typing import Annotated

import typer

from pipeline.core.errors import PipelineError, run_command
from scripts.projects import apply_preset, compare_results, make_project, run, use_times_of

FOLDER = Path(".repeat")
RUNS = {"first": "python -m pipeline repro", "second": "dvc repro"}


def main(
    preset: Annotated[str, typer.Option(help="Merged over params.yaml; empty for params.yaml itself.")] = "",
    scenes: Annotated[int, typer.Option(help="Simulated scenes.")] = 1000,
) -> None:
    """Run both projects, and compare them; raises PipelineError if a byte differs."""
    shutil.rmtree(FOLDER, ignore_errors=True)
    for name, command in RUNS.items():
        print(f"{FOLDER / name}: {command}", flush=True)
        make_project(FOLDER / name)
        if preset:
            apply_preset(FOLDER / name, preset)
        run(FOLDER / name, f"python -m pipeline simulate data --scenes {scenes} && dvc add -q data && {command}")
    first, second = (FOLDER / name for name in RUNS)
    use_times_of(first, first)
    use_times_of(first, second)
    if different := compare_results(first, second):
        raise PipelineError(
            f"{second}: found other bytes than in {first} in {len(different)} files, expected equal ones; "
            f"look at {', '.join(different[:5])}"
        )
    files = sum(path.is_file() for name in ("data", "runs") for path in (first / name).rglob("*"))
    print(f"two runs, {files} files, no byte differs but for the times")
    shutil.rmtree(FOLDER)


if __name__ == "__main__":
    run_command(main)

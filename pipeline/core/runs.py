"""Where each run keeps its files."""

import os
from pathlib import Path

from pipeline.core.errors import PipelineError

RUNS = Path("runs")
STATES = Path(".resume")  # Git and DVC ignore it


def run_folder(stage: str, cell: str | None = None) -> Path:
    """Return `runs/<stage>` or `runs/<stage>/<cell>`, created when absent."""
    folder = RUNS / stage / cell if cell else RUNS / stage
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def require_writable(folder: Path) -> None:
    """Raise PipelineError if `folder` bars writing: said before a training, not after it."""
    if folder.exists() and not os.access(folder, os.W_OK):
        raise PipelineError(f"{folder}: found a folder that bars writing; expected a writable one; change that")


def cell_name(name: str) -> str:
    """Return the part of a stage's name in DVC, such as `fusion@late-maxpool`, that names the cell: `late-maxpool`.

    A name that a user types has no stage before it, and is returned unchanged.
    """
    return name.rpartition("@")[2]


def times_folder(folder: Path) -> Path:
    """Return `runs/times/<stage>[/<cell>]` of a run folder `runs/<stage>[/<cell>]`.

    No stage depends on `runs/times`: another clock is no reason to run.
    """
    return RUNS / "times" / Path(*folder.parts[1:])


def states_folder(folder: Path) -> Path:
    """Return `.resume/<stage>[/<cell>]` of a run folder `runs/<stage>[/<cell>]`: the states of its trainings."""
    return STATES / Path(*folder.parts[1:])


def checkpoint_path(folder: Path, seed: int) -> Path:
    """Return the path of one seed's weights below the run folder of its stage or cell."""
    return folder / "models" / f"seed{seed}.safetensors"

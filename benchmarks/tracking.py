"""Measure the cost of tracking: one cell trained with WANDB_MODE=disabled and with others, in turn, to equal bytes.

    python -m benchmarks.tracking [--cell late-maxpool] [--rounds 6] [--modes disabled --modes offline]

Needs runs/prepare/arrays; trains in a folder of its own. Processor seconds are of the stage with all its processes.
"""

import os
import resource
import subprocess
import sys
import tempfile
from pathlib import Path
from statistics import median
from time import perf_counter
from typing import Annotated

import typer

from pipeline.core.files import sha256
from pipeline.core.runs import RUNS

ROOT = Path(__file__).parent.parent


def train(cell: str, mode: str, home: Path) -> tuple[float, float, str]:
    """Return processor seconds, wall seconds, and a hash of every file of the cell that repeats."""
    environment = os.environ | {"WANDB_MODE": mode, "PYTHONPATH": str(ROOT)}
    environment = {name: value for name, value in environment.items() if name not in ("DVC_ROOT", "WANDB_DIR")}
    before, start = resource.getrusage(resource.RUSAGE_CHILDREN), perf_counter()
    command = [sys.executable, "-m", "stages.fusion", cell]
    subprocess.run(command, cwd=home, env=environment, stdout=subprocess.DEVNULL, check=True)
    wall, after = perf_counter() - start, resource.getrusage(resource.RUSAGE_CHILDREN)
    folder = home / "runs" / "fusion" / cell
    files = [*sorted((folder / "models").iterdir()), folder / "history.tsv", folder / "logits.npy"]
    computing = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return computing, wall, " ".join(map(sha256, files))


def main(
    cell: Annotated[str, typer.Option(help="A cell of the matrix in params.yaml.")] = "late-maxpool",
    rounds: Annotated[int, typer.Option(help="Repetitions of all modes, in turn; medians are printed.")] = 6,
    modes: Annotated[list[str] | None, typer.Option(help="The others are compared with the first.")] = None,
) -> None:
    """Print a table of medians; raise if a mode changes what is trained."""
    results: dict[str, list[tuple[float, float, str]]] = {mode: [] for mode in modes or ["disabled", "offline"]}
    with tempfile.TemporaryDirectory() as folder:
        home = Path(folder)
        (home / "runs").mkdir()
        for name in ("params.yaml", RUNS / "prepare"):
            (home / name).symlink_to((ROOT / name).resolve())
        for round_ in range(rounds + 1):
            for mode in list(results) if round_ % 2 else list(results)[::-1]:
                result = train(cell, mode, home)
                if round_:  # the first warms up
                    results[mode].append(result)
    if len({marks for rows in results.values() for *_, marks in rows}) > 1:
        raise SystemExit(f"{cell}: what was trained differs from one mode to the other")
    print(f"{cell}, medians of {rounds} rounds; equal checkpoints, history and logits every time")
    print("| mode | processor seconds | more | wall seconds | more |\n|---|---|---|---|---|")
    base = [median(column) for column in zip(*(row[:2] for row in next(iter(results.values()))), strict=True)]
    for mode, rows in results.items():
        own = [median(column) for column in zip(*(row[:2] for row in rows), strict=True)]
        columns = [f"{value:.2f} | {100 * (value / of - 1):+.1f}%" for value, of in zip(own, base, strict=True)]
        print(f"| {mode} | {' | '.join(columns)} |")


if __name__ == "__main__":
    typer.run(main)

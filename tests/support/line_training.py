"""A stage `fusion` of a project of its own: two seeds of a small net on forty points, trained for five epochs.

Run as a module, it waits in its third epoch until the stage is interrupted, and ends the epoch.
"""

import signal
import sys
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from threading import Barrier
from time import sleep

import torch
from torch import nn

from pipeline.config.types import Recipe
from pipeline.core.device import Cancelled, build_seeded, make_generator, raise_if_cancelled, setup_device
from pipeline.core.errors import run_command
from pipeline.core.files import write_json
from pipeline.core.runs import run_folder
from pipeline.data.arrays import Batches, Examples
from pipeline.training import states
from pipeline.training.loop import Task
from pipeline.training.objectives import projection_objective
from pipeline.training.seeds import SeedResult, train_over_seeds
from pipeline.training.states import remove_states

EPOCHS, SEEDS = 5, (0, 1)
RECIPE = Recipe(lr=0.3, batch_size=8, warmup_fraction=0.1, schedule="cosine", grad_clip_norm=1.0)
PROJECT = "stages: {fusion: {foreach: {line: 1}, do: {cmd: x, deps: [points]}}}\n"


class _Data:
    label = torch.zeros(4)


class Killed(BaseException):
    """The end of a process, as far as a test can go on after it."""


def make_project(folder: Path) -> None:
    """Write what the stage depends on: dvc.yaml, and one dependency."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "dvc.yaml").write_text(PROJECT)
    (folder / "points").write_text("forty")


def kill_at(call: int, victim: int = 1) -> Callable[[int], None]:
    """Return what ends the training of the seed `victim` at its call number `call`, from 1."""
    calls: Counter[int] = Counter()

    def during(seed: int) -> None:
        calls[seed] += 1
        if seed == victim and calls[seed] == call:
            raise Killed

    return during


def build_task(seed: int, during: Callable[[int], None], points: int = 40) -> Task:
    """Return a task whose validation calls `during(seed)` first; its best epoch is rarely the last."""
    inputs = torch.randn(points, 3, generator=make_generator(9))
    data = Examples(inputs, inputs.square().sum(dim=1, keepdim=True))
    model = build_seeded(seed, lambda: nn.Sequential(nn.Linear(3, 8), nn.BatchNorm1d(8), nn.ReLU(), nn.Linear(8, 1)))

    def validate(net: nn.Module) -> dict[str, float]:
        during(seed)
        return {"val_loss": float((net(inputs[:9]) - data.targets[:9]).detach().square().mean())}

    return Task(model, projection_objective, Batches(data.rows, torch.arange(points), 8), validate)


def train(
    during: Callable[[int], None] = lambda seed: None,
    at_end: Callable[[int], None] = lambda seed: None,
    recipe: Recipe = RECIPE,
    config: dict | None = None,
    points: int = 40,
) -> None:
    """Run the stage in the working directory; `at_end(seed)` is called when the nets of all seeds are trained."""
    folder = run_folder("fusion", "line")
    tasks = {seed: build_task(seed, during, points) for seed in SEEDS}

    def evaluate(seed: int, result: object) -> SeedResult:
        at_end(seed)
        return SeedResult({"weight": float(sum(each.detach().sum() for each in tasks[seed].model.parameters()))})

    about = {"kind": "line"}
    metrics, _ = train_over_seeds(folder, tasks, recipe, EPOCHS, evaluate, _Data(), config or {}, about)
    write_json(folder / "metrics.json", metrics)
    remove_states(folder)


def results(project: Path) -> dict[str, bytes]:
    """Return the bytes of every file that the stage wrote and that holds no time."""
    return {path.name: path.read_bytes() for path in sorted((project / "runs/fusion").rglob("*.*"))}


def main() -> None:
    setup_device()
    states.SECONDS_BETWEEN_STATES = 0
    together, epochs = Barrier(len(SEEDS), lambda: print("third epoch", flush=True)), Counter[int]()

    def wait(seed: int) -> None:
        epochs[seed] += 1
        if epochs[seed] == 3:
            together.wait()
            with suppress(Cancelled):
                while True:
                    raise_if_cancelled()
                    sleep(0.02)

    train(wait)


if __name__ == "__main__":
    sys.argv = sys.argv[:1]
    signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell starts background jobs with Ctrl-C ignored
    run_command(main)

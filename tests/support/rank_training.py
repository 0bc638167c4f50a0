"""A small CILP trained by one process or by the ranks of gloo, as a process of its own: ranks are its forks.

python -m support.rank_training FOLDER leaves a file a case in FOLDER.
"""

import os
import socket
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from multiprocessing import get_context
from multiprocessing.process import BaseProcess
from pathlib import Path
from time import monotonic, sleep
from typing import Any

import torch
from torch import Tensor
from torch.optim.optimizer import register_optimizer_step_pre_hook

from pipeline.config.types import Recipe
from pipeline.core.device import build_seeded, make_generator, setup_device
from pipeline.core.errors import run_command
from pipeline.data.arrays import Batch, Batches
from pipeline.models.cilp import CILP
from pipeline.training import states as states_module
from pipeline.training.loop import Task, Trainer, fit
from pipeline.training.objectives import contrastive_objective
from pipeline.training.ranks import follow, join_ranks
from pipeline.training.seeds import SeedResult, fit_and_test
from pipeline.training.states import States

CPU = torch.device("cpu")
PAIRS, SIZE = 22, 10  # batches of 10, 10 and 2 pairs: of three ranks, one has none of the last
NORMS, WORLDS = ("none", "batch"), (2, 3)
STILL, MOVING = 1e-12, 1e-2  # learning rates: at the first, every step has the gradient of the initial weights


def recipe(lr: float) -> Recipe:
    return Recipe(lr=lr, batch_size=SIZE, warmup_fraction=0.2, schedule="constant", grad_clip_norm=None)


def make_task(norm: str, temperature: float = 4.0) -> Task:
    """Return the training of a small CILP on pairs of noise, validated on some of them."""
    draw = make_generator(5)
    # coarse patterns under noise: pairs as alike as pure noise have gradients of few true digits in float32; no ReLU of
    # this draw gets a value so near to 0 that another rounding would open or close it
    coarse = torch.randn(PAIRS, 5, 4, 4, generator=draw).repeat_interleave(16, 2).repeat_interleave(16, 3)
    rgb, depth = (3 * coarse + torch.randn(PAIRS, 5, 64, 64, generator=draw)).split((4, 1), dim=1)

    def batch(rows: Tensor) -> Batch:
        return Batch(rgb[rows], depth[rows], torch.zeros(len(rows)))

    def validate(net: Any) -> dict[str, float]:
        with torch.no_grad():
            return {"val_loss": float(contrastive_objective(net, batch(torch.arange(8)))[0])}

    model = build_seeded(0, lambda: CILP([2], [], 8, temperature, norm))
    return Task(model, contrastive_objective, Batches(batch, torch.arange(PAIRS).reshape(-1, 2), SIZE), validate)


@contextmanager
def recorded_gradients() -> Iterator[list[Tensor]]:
    """Yield a list that gets the gradient of all weights together before every step."""
    gradients: list[Tensor] = []

    def record(optimizer: Any, *_: Any) -> None:
        gradients.append(torch.cat([each.grad.flatten() for each in optimizer.param_groups[0]["params"]]))

    handle = register_optimizer_step_pre_hook(record)
    try:
        yield gradients
    finally:
        handle.remove()


def train_epoch(trainer: Trainer, folder: Path, norm: str) -> None:
    """Train for an epoch and save gradients (steps, parameters), the mean loss and the state of the model."""
    task = make_task(norm)
    with recorded_gradients() as gradients:
        history = trainer(task, recipe(STILL), 1, 0, lambda seed, metrics: None).history
    result = {"gradients": torch.stack(gradients), "loss": history[0]["train_loss"], "model": task.model.state_dict()}
    torch.save(result, folder / f"rank{rank()}.pt")


def train_seeds(trainer: Trainer, folder: Path, stop_at: int, states: Path | None) -> None:
    """Train two seeds for three epochs and save their weights; all ranks are interrupted after epoch `stop_at`."""
    states_module.SECONDS_BETWEEN_STATES = 0
    tasks = {seed: make_task("batch") for seed in (3, 4)}

    def log(seed: int, metrics: dict[str, float]) -> None:
        if metrics["epoch"] == stop_at + 1:
            raise KeyboardInterrupt

    if rank() == 0:
        fit_and_test(tasks, recipe(MOVING), 3, lambda *_: SeedResult({}), log, CPU, States(states, "x"), trainer)
        torch.save({seed: task.model.state_dict() for seed, task in tasks.items()}, folder / "rank0.pt")
    else:
        follow(tasks, recipe(MOVING), 3, CPU)


def train_unlike(trainer: Trainer, folder: Path) -> None:
    """Begin a training in which rank 1 has another temperature."""
    trainer(make_task("none", 2.0 if rank() else 4.0), recipe(MOVING), 1, 0, lambda seed, metrics: None)


def train_until_killed(trainer: Trainer, folder: Path) -> None:
    """Train without end; each rank leaves its number after an epoch."""
    trainer(make_task("batch"), recipe(STILL), 10**6, 0, lambda *_: (folder / f"{rank()}").touch())


def rank() -> int:
    return int(os.environ.get("RANK", 0))


def start_ranks(world: int, folder: Path, work: Callable[..., None], *arguments: Any) -> list[BaseProcess]:
    """Start `work` on each of `world` ranks as torchrun would; their errors go to files in `folder`."""
    folder.mkdir(parents=True)
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    fork = get_context("fork")
    processes: list[BaseProcess] = []
    for number in range(world):
        names = {"RANK": number, "LOCAL_RANK": number, "WORLD_SIZE": world, "LOCAL_WORLD_SIZE": world}
        names |= {
            "MASTER_ADDR": "127.0.0.1",
            "MASTER_PORT": port,
            "GLOO_SOCKET_IFNAME": "lo",
            "TORCHELASTIC_RUN_ID": "test",
        }
        variables = {name: str(value) for name, value in names.items()}
        processes.append(fork.Process(target=_run_rank, args=(variables, folder, work, *arguments)))
        processes[-1].start()
    return processes


def _run_rank(variables: dict[str, str], folder: Path, work: Callable[..., None], *arguments: Any) -> None:
    os.environ.update(variables)
    sys.stderr = (folder / f"error{rank()}").open("w", buffering=1)
    sys.argv = sys.argv[:1]

    def command() -> None:
        with join_ranks(setup_device("float32")) as trainer:
            work(trainer, folder, *arguments)

    run_command(command)


def kill_one(folder: Path) -> None:
    """Kill one of two ranks in its training, and save how many seconds the other goes on, and its exit code."""
    first, second = start_ranks(2, folder, train_until_killed)
    while not (folder / "1").exists():
        sleep(0.05)
    second.kill()
    start = monotonic()
    first.join(60)
    torch.save({"seconds": monotonic() - start, "code": first.exitcode}, folder / "rank0.pt")
    first.kill()


def main(folder: Path) -> None:
    setup_device("float32")
    for norm in NORMS:
        (folder / f"plain-{norm}").mkdir()
        train_epoch(fit, folder / f"plain-{norm}", norm)
        for world in WORLDS:
            wait(start_ranks(world, folder / f"{norm}-{world}", train_epoch, norm))
    wait(start_ranks(2, folder / "whole", train_seeds, 9, None))
    wait(start_ranks(2, folder / "stopped", train_seeds, 2, folder / "states"))
    wait(start_ranks(2, folder / "resumed", train_seeds, 9, folder / "states"))
    wait(start_ranks(2, folder / "unlike", train_unlike))
    kill_one(folder / "killed")


def wait(processes: Sequence[BaseProcess]) -> None:
    for process in processes:
        process.join()


if __name__ == "__main__":
    main(Path(sys.argv[1]))

"""Data-parallel CILP: ranks of gloo processes take the steps of one process, and none goes on alone."""

import os
import signal
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from multiprocessing import get_context
from pathlib import Path

import pytest
import torch
import torch.distributed as dist
from torch import Tensor, nn

from pipeline.config.types import Recipe
from pipeline.core.device import build_seeded, make_generator, setup_device
from pipeline.core.errors import PipelineError
from pipeline.data.arrays import Batch, Batches
from pipeline.models.cilp import CILP
from pipeline.training.loop import FitResult, Task, fit
from pipeline.training.objectives import contrastive_objective
from pipeline.training.ranks import fit_on_ranks, join_ranks
from pipeline.training.states import States

CPU = torch.device("cpu")
PAIRS, SIZE = 22, 10  # batches of 10, 10 and 2 pairs: of three ranks, one has nothing to do in the last
RECIPE = Recipe(lr=0.01, batch_size=SIZE, warmup_fraction=0.2, schedule="cosine", grad_clip_norm=None)
SERVER = get_context("forkserver")  # one process imports torch, and the ranks are its forks
SERVER.set_forkserver_preload(["pipeline.training.ranks"])


def make_task(norm: str) -> Task:
    """Return a training of a small CILP on pairs of noise; each epoch is better than the one before."""
    draw = make_generator(1)
    rgb, depth = torch.rand(PAIRS, 4, 64, 64, generator=draw), torch.rand(PAIRS, 1, 64, 64, generator=draw)
    batches = Batches(
        lambda rows: Batch(rgb[rows], depth[rows], torch.zeros(len(rows))), torch.arange(PAIRS).reshape(-1, 2), SIZE
    )
    model = build_seeded(0, lambda: CILP([4, 4, 8], [], 8, 0.07, norm))
    better = iter(range(100, 0, -1))
    return Task(model, contrastive_objective, batches, lambda net: {"val_loss": float(next(better))})


def trace_gradients(task: Task) -> list[Tensor]:
    """Return a list that gets the gradient of all weights together, before every step of a training of `task`."""
    gradients: list[Tensor] = []
    weights = list(task.model.parameters())
    inner = torch.optim.Adam.step

    def step(optimizer, *arguments):
        gradients.append(torch.cat([each.grad.flatten() for each in weights]))
        return inner(optimizer, *arguments)

    torch.optim.Adam.step = step
    return gradients


def run_epoch(norm: str, trainer: Callable[..., FitResult]) -> dict[str, Tensor]:
    """Train for an epoch; return its gradients (steps, parameters), its mean loss, and the state of the model."""
    setup_device("float32")
    task = make_task(norm)
    gradients = trace_gradients(task)
    result = trainer(task, RECIPE, 1, 0, lambda seed, metrics: None)
    loss = torch.tensor(result.history[0]["train_loss"])
    return {"gradients": torch.stack(gradients), "loss": loss, **task.model.state_dict()}

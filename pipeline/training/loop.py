"""fit(): the one training loop. It knows neither the stage nor the objective; both come in the task."""

import copy
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from math import cos, isfinite, pi
from typing import Any

import torch
from torch import Tensor, nn

from pipeline import device as machine
from pipeline.data.arrays import Batches
from pipeline.errors import PipelineError
from pipeline.schema import Recipe

Row = dict[str, float]
Log = Callable[[int, Row], None]


@dataclass(frozen=True)
class Task:
    """What one training is about."""

    model: nn.Module
    loss: Callable[[nn.Module, Any], Tensor]  # loss(model, batch) -> scalar
    batches: Batches
    evaluate: Callable[[Any], Row]  # figures of a model as it stands, `val_loss` among them


@dataclass(frozen=True)
class Fitted:
    """What a training gives besides the weights, which are left in the model."""

    history: list[Row]  # one row an epoch: epoch, lr, train_loss and what `evaluate` measured
    best: Row  # the row whose weights the model now has
    seconds_per_epoch: float  # training only, see device.clock
    peak_memory_mb: float  # see device.peak_memory


def fit(task: Task, recipe: Recipe, epochs: int, seed: int, log: Log) -> Fitted:
    """Minimise the loss by Adam and leave the weights of the best epoch, by `val_loss`, in the model.

    `seed` orders the batches; initial weights are the caller's, and so are frozen parameters: those that need no
    gradient are not touched. Each epoch's row goes to `log(seed, row)`. Raises PipelineError if the loss diverges.
    """
    model, device = task.model, task.batches.rows.device
    machine.forget_peak(device)
    model.to(device, memory_format=torch.channels_last)
    trainable = [parameter for parameter in model.parameters() if parameter.requires_grad]
    optimizer = torch.optim.Adam(trainable, lr=recipe.lr, fused=True)
    order, length = machine.generator(seed), len(task.batches)
    history: list[Row] = []
    best, weights, seconds = None, None, 0.0
    for epoch in range(epochs):
        start = machine.clock(device)
        rates = [rate(recipe, epoch * length + step, epochs * length) for step in range(length)]
        train_loss = _train(task, task.batches.shuffled(order), optimizer, rates, recipe.clip)
        seconds += machine.clock(device) - start
        model.eval()
        row = {"epoch": epoch + 1, "lr": rates[-1], "train_loss": train_loss, **task.evaluate(model)}
        if not isfinite(row["val_loss"]):
            raise PipelineError(f"the loss of seed {seed} is {row['val_loss']} after epoch {epoch + 1}: lower lr")
        history.append(row)
        log(seed, row)
        if best is None or row["val_loss"] < best["val_loss"]:
            best, weights = row, copy.deepcopy(model.state_dict())
    model.load_state_dict(weights)
    return Fitted(history, best, seconds / epochs, machine.peak_memory(device))


Fit = Callable[[Task, Recipe, int, int, Log], Fitted]


def fit_seeds(
    tasks: Mapping[int, Task], recipe: Recipe, epochs: int, log: Log, device: torch.device, train: Fit = fit
) -> list[Fitted]:
    """`train` every seed's task: side by side on a CPU, in turn on a GPU."""
    return machine.side_by_side(lambda seed: train(tasks[seed], recipe, epochs, seed, log), list(tasks), device)


def rate(recipe: Recipe, step: int, steps: int) -> float:
    """Learning rate of `step` (from 0) out of `steps`: a linear rise, then the schedule."""
    rising = recipe.warmup * steps
    if step < rising:
        return recipe.lr * (step + 1) / (rising + 1)
    if recipe.schedule == "constant":
        return recipe.lr
    return recipe.lr * (1 + cos(pi * (step - rising) / (steps - rising))) / 2


def _train(
    task: Task, batches: Iterable[Any], optimizer: torch.optim.Optimizer, rates: Sequence[float], clip: float | None
) -> float:
    """One epoch; returns the mean loss of all its samples, each as it was when its batch was seen."""
    task.model.train()
    weights = optimizer.param_groups[0]["params"]
    total, count = 0.0, 0
    for batch, lr in zip(batches, rates, strict=True):
        machine.stop_if_asked()
        optimizer.param_groups[0]["lr"] = lr
        optimizer.zero_grad(set_to_none=True)
        with machine.autocast(batch[0].device):
            value = task.loss(task.model, batch)
        value.backward()
        if clip is not None:
            nn.utils.clip_grad_norm_(weights, clip)
        optimizer.step()
        total = total + value.detach() * len(batch[0])  # stays on the device: no wait for it at every step
        count += len(batch[0])
    return float(total) / count


def costs(models: Mapping[int, nn.Module], fitted: Sequence[Fitted]) -> dict[str, float]:
    """What the trainings of one net over several seeds took."""
    parameters = list(next(iter(models.values())).parameters())
    return {
        "parameters": sum(parameter.numel() for parameter in parameters),
        "trainable_parameters": sum(parameter.numel() for parameter in parameters if parameter.requires_grad),
        "epochs": len(fitted[0].history),
        "seconds_per_epoch": round(sum(each.seconds_per_epoch for each in fitted) / len(fitted), 3),
        "peak_memory_mb": round(max(each.peak_memory_mb for each in fitted), 1),
    }

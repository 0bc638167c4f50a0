"""fit(): the one training loop. It knows neither the stage nor the objective; both come in the task."""

import copy
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from math import cos, isfinite, pi
from typing import Any

import torch
from torch import Tensor, nn

from pipeline.config.types import Recipe
from pipeline.core.device import (
    autocast,
    compute_seconds,
    make_generator,
    map_seeds,
    peak_memory,
    raise_if_cancelled,
    reset_peak_memory,
)
from pipeline.core.errors import PipelineError
from pipeline.data.arrays import Batches

EpochMetrics = dict[str, float]
LogFn = Callable[[int, EpochMetrics], None]
TIMING_NAMES = ("seconds", "samples_per_second", "peak_memory_mb")  # of a row: what a second run measures anew


@dataclass(frozen=True)
class Task:
    """What one training is about."""

    model: nn.Module
    loss: Callable[[nn.Module, Any], Tensor]  # loss(model, batch) -> scalar
    batches: Batches
    evaluate: Callable[[Any], EpochMetrics]  # figures of a model as it stands, `val_loss` among them
    score: Callable[[Tensor, Tensor], EpochMetrics] | None = (
        None  # of logits and labels, where the model is a classifier
    )


@dataclass(frozen=True)
class FitResult:
    """What a training gives besides the weights, which are left in the model."""

    history: list[
        EpochMetrics
    ]  # one row an epoch: epoch, lr, train_loss, gradient_norm, what was evaluated, what was TIMED
    best: EpochMetrics  # the row whose weights the model now has

    @property
    def seconds(self) -> float:
        """Of training alone, see device.clock."""
        return sum(row["seconds"] for row in self.history)

    @property
    def seconds_per_epoch(self) -> float:
        """Their mean; 0 where nothing was trained."""
        return self.seconds / max(1, len(self.history))

    @property
    def peak_memory_mb(self) -> float:
        """See device.peak_memory."""
        return max(row["peak_memory_mb"] for row in (*self.history, self.best))


def fit(task: Task, recipe: Recipe, epochs: int, seed: int, log: LogFn) -> FitResult:
    """Minimise the loss by Adam and leave the weights of the best epoch, by `val_loss`, in the model.

    `seed` orders the batches; initial weights are the caller's, and so are frozen parameters: those that need no
    gradient are not touched. Each epoch's row goes to `log(seed, row)`. Raises PipelineError if the loss diverges.
    """
    model, device = task.model, task.batches.rows.device
    reset_peak_memory(device)
    model.to(device, memory_format=torch.channels_last)
    trainable = [parameter for parameter in model.parameters() if parameter.requires_grad]
    optimizer = torch.optim.Adam(trainable, lr=recipe.lr, fused=True)
    order, length = make_generator(seed), len(task.batches)
    history: list[EpochMetrics] = []
    best, weights = None, None
    for epoch in range(epochs):
        start = compute_seconds(device)
        rates = [lr_at_step(recipe, epoch * length + step, epochs * length) for step in range(length)]
        learnt = _train(task, task.batches.shuffled(order), optimizer, rates, recipe.clip)
        seconds = compute_seconds(device) - start
        model.eval()
        row = {"epoch": epoch + 1, "lr": rates[-1], **learnt, **task.evaluate(model)}
        if not isfinite(row["val_loss"]):
            raise PipelineError(f"the loss of seed {seed} is {row['val_loss']} after epoch {epoch + 1}: lower lr")
        row |= timing_metrics(seconds, len(task.batches.rows), peak_memory(device))
        history.append(row)
        log(seed, row)
        if best is None or row["val_loss"] < best["val_loss"]:
            best, weights = row, copy.deepcopy(model.state_dict())
    model.load_state_dict(weights)
    return FitResult(history, best)


Trainer = Callable[[Task, Recipe, int, int, LogFn], FitResult]


def fit_seeds(
    tasks: Mapping[int, Task], recipe: Recipe, epochs: int, log: LogFn, device: torch.device, train: Trainer = fit
) -> list[FitResult]:
    """`train` every seed's task: side by side on a CPU, in turn on a GPU."""
    return map_seeds(lambda seed: train(tasks[seed], recipe, epochs, seed, log), list(tasks), device)


def lr_at_step(recipe: Recipe, step: int, steps: int) -> float:
    """Learning rate of `step` (from 0) out of `steps`: a linear rise, then the schedule."""
    rising = recipe.warmup * steps
    if step < rising:
        return recipe.lr * (step + 1) / (rising + 1)
    if recipe.schedule == "constant":
        return recipe.lr
    return recipe.lr * (1 + cos(pi * (step - rising) / (steps - rising))) / 2


def timing_metrics(seconds: float, samples: int, peak_memory_mb: float) -> EpochMetrics:
    """What an epoch took, in whole microseconds and kilobytes: so a table of them says all there is to say."""
    rate = samples / seconds if seconds > 0 else 0.0
    return dict(zip(TIMING_NAMES, (round(seconds, 6), round(rate, 3), round(peak_memory_mb, 3)), strict=True))


def _train(
    task: Task, batches: Iterable[Any], optimizer: torch.optim.Optimizer, rates: Sequence[float], clip: float | None
) -> EpochMetrics:
    """One epoch; the mean loss of all its samples, each as it was when its batch was seen, and the mean gradient.

    With `task.score`, its figures of what the model said at those same moments: they cost no second look.
    """
    task.model.train()
    weights = optimizer.param_groups[0]["params"]
    total, count, norms = 0.0, 0, 0.0
    # one block for all of them: small tensors kept between the large ones would cost a tenth of the memory
    said = task.batches.rows.new_empty(2, len(task.batches.rows), dtype=torch.float32)  # logits, labels
    with _listening(task) as heard:
        for batch, lr in zip(batches, rates, strict=True):
            raise_if_cancelled()
            optimizer.param_groups[0]["lr"] = lr
            optimizer.zero_grad(set_to_none=True)
            with autocast(batch[0].device):
                value = task.loss(task.model, batch)
            value.backward()
            norms = norms + _shorten(weights, clip)
            optimizer.step()
            total = total + value.detach() * len(batch[0])  # stays on the device: no wait for it at every step
            if task.score:
                said[:, count : count + len(batch[0])] = torch.stack([heard.pop().float(), batch[-1]])
            count += len(batch[0])
    figures = task.score(*said.cpu()) if task.score else {}
    told = {f"train_{name}": figure for name, figure in figures.items()}
    return {**told, "train_loss": float(total) / count, "gradient_norm": float(norms) / len(rates)}


@contextmanager
def _listening(task: Task) -> Iterator[list[Tensor]]:
    """A list that gets what the model says, if there is a use for it."""
    heard: list[Tensor] = []
    if task.score is None:
        yield heard
        return
    hook = task.model.register_forward_hook(lambda _model, _given, logits: heard.append(logits.detach()))
    try:
        yield heard
    finally:
        hook.remove()


def _shorten(weights: Sequence[nn.Parameter], clip: float | None) -> Tensor:
    """The length of the gradient, before it is cut down to `clip`."""
    if clip is not None:
        return nn.utils.clip_grad_norm_(weights, clip)
    return nn.utils.get_total_norm([weight.grad for weight in weights if weight.grad is not None])


def count_parameters(model: nn.Module) -> int:
    """The number of all its parameters, frozen ones too."""
    return sum(parameter.numel() for parameter in model.parameters())


def training_cost(models: Mapping[int, nn.Module], fitted: Sequence[FitResult]) -> dict[str, float]:
    """What one net and the training of it took; seconds are means over seeds, memory is that of the largest."""
    model = next(iter(models.values()))
    return {
        "parameters": count_parameters(model),
        "trainable_parameters": sum(each.numel() for each in model.parameters() if each.requires_grad),
        "epochs": len(fitted[0].history),
        "seconds": round(sum(each.seconds for each in fitted) / len(fitted), 3),
        "seconds_per_epoch": round(sum(each.seconds_per_epoch for each in fitted) / len(fitted), 3),
        "peak_memory_mb": round(max(each.peak_memory_mb for each in fitted), 1),
    }

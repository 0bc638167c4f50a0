"""fit(): the one training loop. It knows neither the stage nor the objective; both come in the task."""

import copy
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, fields
from itertools import islice
from math import cos, isnan, pi
from typing import Any

import torch
from torch import Tensor, nn

from pipeline.config.types import Recipe
from pipeline.core.device import Cancelled, compute_seconds, make_generator, map_seeds, raise_if_cancelled, to_device
from pipeline.core.memory import peak_memory, reset_peak_memory
from pipeline.data.arrays import Batches
from pipeline.metrics.classification import Metrics, add_prefix
from pipeline.training.divergence import StepTrace, require_finite_metrics
from pipeline.training.states import State, States
from pipeline.training.step import GraphStep, Objective, Step, load_moments, make_step, read_moments

EpochMetrics = dict[str, float]
LogFn = Callable[[int, EpochMetrics], None]  # log(seed, metrics of an epoch)
TIMING_NAMES = ("seconds", "samples_per_second", "peak_memory_mb")  # of an epoch; they differ from run to run


@dataclass(frozen=True)
class Task:
    """The model, the objective and the data of one training."""

    model: nn.Module
    objective: Objective
    batches: Batches
    validate: Callable[[Any], EpochMetrics]  # metrics of a model as it stands, `val_loss` among them
    train_metrics: Callable[[Tensor, Tensor], Metrics] | None = None  # of logits (N,) and labels (N,), for classifiers
    states: States = States()  # where the training saves its state; by default nowhere


@dataclass(frozen=True)
class FitResult:
    """The metrics of a training; its weights are left in the model."""

    history: list[EpochMetrics]  # epoch, lr, train_loss, gradient_norm, validation metrics, TIMING_NAMES
    best: EpochMetrics  # the epoch whose weights the model now has

    @property
    def seconds(self) -> float:
        """Return the seconds of training alone, see device.compute_seconds."""
        return sum(epoch["seconds"] for epoch in self.history)

    @property
    def seconds_per_epoch(self) -> float:
        """Return the mean seconds of an epoch; 0 where nothing was trained."""
        return self.seconds / max(1, len(self.history))

    @property
    def peak_memory_mb(self) -> float:
        """Return the largest peak of all epochs, see device.peak_memory."""
        return max(epoch["peak_memory_mb"] for epoch in (*self.history, self.best))


@dataclass
class Sums:
    """What the steps of an epoch have added up to so far, on the device."""

    loss: Tensor  # () of all samples
    norm: Tensor  # () of the gradients of all steps
    outcomes: Tensor  # (2, N) logits and labels of the samples, for classifiers
    steps: int = 0
    samples: int = 0
    seconds: float = 0.0


Trainer = Callable[[Task, Recipe, int, int, LogFn], FitResult]


def fit(task: Task, recipe: Recipe, epochs: int, seed: int, log: LogFn) -> FitResult:
    """Minimise the loss by Adam and leave the weights of the epoch with the lowest `val_loss` in the model.

    `seed` orders the batches; initial weights are the caller's, and so are frozen parameters: those that need no
    gradient are not touched. Each epoch's metrics go to `log(seed, metrics)`. An interrupted training goes on from its
    state in `task.states` to equal bytes. Raises PipelineError on divergence.
    """
    model, device = task.model, task.batches.rows.device
    reset_peak_memory(device)
    values = [epochs, *(getattr(recipe, field.name) for field in fields(Recipe))]
    states = task.states.file(seed, model, values, task.batches.groups)
    to_device(model, device)
    take_step = make_step(model, task.objective, task.batches.batch_fn, recipe, device)
    generator, steps = make_generator(seed), len(task.batches)
    history: list[EpochMetrics] = []
    best: EpochMetrics = {}
    weights: dict[str, Any] = {}
    sums = _make_sums(task)
    if state := states.load(device):
        history, best, weights = state.history, state.best, state.weights
        model.load_state_dict(state.model)
        load_moments(take_step.optimizer, state.moments)
        generator.set_state(state.order.cpu())
        sums = Sums(**state.sums) if state.sums else sums
        for metrics in history:
            log(seed, metrics)

    def current(order: Tensor, sums: dict[str, Any]) -> State:
        return State(model.state_dict(), read_moments(take_step.optimizer), order, history, best, weights, sums)

    for epoch in range(len(history), epochs):
        order = generator.get_state()
        lrs = [lr_at_step(recipe, epoch * steps + step, epochs * steps) for step in range(steps)]
        trace = StepTrace(steps, device)
        try:
            train = _train_epoch(task, task.batches.shuffled(generator), take_step, lrs, sums, trace)
        except Cancelled:  # between two steps
            states.save(current(order, vars(sums)))
            raise
        trace.require_finite(seed, epoch + 1)
        model.eval()
        metrics = {"epoch": epoch + 1, "lr": lrs[-1], **train, **task.validate(model)}
        require_finite_metrics(metrics, seed, epoch + 1)
        metrics |= timing_metrics(sums.seconds, len(task.batches.rows), peak_memory(device))
        history.append(metrics)
        log(seed, metrics)
        sums = _make_sums(task)
        if not best or metrics["val_loss"] < best["val_loss"]:
            best, weights = metrics, copy.deepcopy(model.state_dict())
        if epoch + 1 < epochs and states.due():
            states.save(current(generator.get_state(), {}))
    model.load_state_dict(weights)
    model.eval()  # a training that goes on from its last state has validated nothing, and is still in training mode
    states.save(State(weights, [], generator.get_state(), history, best, weights, {}))  # a quarter of the bytes
    return FitResult(history, best)


def fit_seeds(
    tasks: Mapping[int, Task], recipe: Recipe, epochs: int, log: LogFn, device: torch.device, trainer: Trainer = fit
) -> list[FitResult]:
    """Train every seed's task: side by side on a CPU, in turn on a GPU."""
    return map_seeds(lambda seed: trainer(tasks[seed], recipe, epochs, seed, log), list(tasks), device)


def lr_at_step(recipe: Recipe, step: int, steps: int) -> float:
    """Return the learning rate of `step` (from 0) out of `steps`: a linear warm-up, then the schedule."""
    warmup = recipe.warmup_fraction * steps
    if step < warmup:
        return recipe.lr * (step + 1) / (warmup + 1)
    if recipe.schedule == "constant":
        return recipe.lr
    return recipe.lr * (1 + cos(pi * (step - warmup) / (steps - warmup))) / 2


def timing_metrics(seconds: float, samples: int, peak_memory_mb: float) -> EpochMetrics:
    """Return TIMING_NAMES of an epoch, rounded to microseconds and kilobytes, so that tables lose no digit."""
    throughput = samples / seconds if seconds else 0.0
    values = (round(seconds, 6), round(throughput, 3), round(peak_memory_mb, 3))
    return dict(zip(TIMING_NAMES, values, strict=True))


def _make_sums(task: Task) -> Sums:
    rows = task.batches.rows
    # one block for all outcomes: small tensors allocated between the large ones would cost a tenth of the memory
    outcomes = rows.new_empty(2, len(rows), dtype=torch.float32)
    return Sums(torch.zeros((), device=rows.device), torch.zeros((), device=rows.device), outcomes)


def _train_epoch(
    task: Task,
    batch_rows: Iterable[Tensor],
    take_step: Step | GraphStep,
    lrs: Sequence[float],
    sums: Sums,
    trace: StepTrace,
) -> EpochMetrics:
    """Return the mean loss of all samples, each at the step that used its batch, and the mean gradient norm.

    With `task.train_metrics`, also those metrics of the logits at these steps: they cost no second forward pass. Steps
    that `sums` holds are skipped, and the others are added to it.
    """
    task.model.train()
    device = task.batches.rows.device
    start = compute_seconds(device)
    try:
        for rows, lr in islice(zip(batch_rows, lrs, strict=True), sums.steps, None):
            raise_if_cancelled()
            outcome = take_step(rows, lr)
            trace.add(sums.steps, rows, outcome.loss, outcome.norm)
            sums.norm = sums.norm + outcome.norm  # stays on the device: no wait for it at every step
            sums.loss = sums.loss + outcome.loss * len(rows)
            end = sums.samples + len(rows)
            if task.train_metrics:
                sums.outcomes[:, sums.samples : end] = torch.stack([outcome.outputs, outcome.targets])
            sums.steps, sums.samples = sums.steps + 1, end
        metrics = add_prefix("train", task.train_metrics(*sums.outcomes.cpu())) if task.train_metrics else {}
        return {
            **metrics,
            "train_loss": float(sums.loss) / sums.samples,
            "gradient_norm": float(sums.norm) / len(lrs),
        }
    finally:
        sums.seconds += compute_seconds(device) - start


def count_parameters(model: nn.Module) -> int:
    """Return the number of all parameters, frozen ones too."""
    return sum(parameter.numel() for parameter in model.parameters())


def training_size(models: Mapping[int, nn.Module], fits: Sequence[FitResult]) -> dict[str, float]:
    """Return the number of parameters, of trainable ones, and of epochs of one net."""
    model = next(iter(models.values()))
    return {
        "parameters": count_parameters(model),
        "trainable_parameters": sum(each.numel() for each in model.parameters() if each.requires_grad),
        "epochs": len(fits[0].history),
    }


def training_times(fits: Sequence[FitResult]) -> dict[str, float | None]:
    """Return the seconds of a training, means over seeds, and its memory in MB, the largest of all seeds.

    Seconds are None if any was not measured, see device.compute_seconds.
    """
    seconds = {
        "seconds": sum(fit.seconds for fit in fits) / len(fits),
        "seconds_per_epoch": sum(fit.seconds_per_epoch for fit in fits) / len(fits),
    }
    measured = {name: None if isnan(value) else round(value, 3) for name, value in seconds.items()}
    return measured | {"peak_memory_mb": round(max(fit.peak_memory_mb for fit in fits), 1)}

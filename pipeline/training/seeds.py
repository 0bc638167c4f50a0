"""The one way to train over seeds: every stage that trains nets does it by `train_over_seeds`."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

import torch
from torch import Tensor, nn

from pipeline.config.types import Recipe
from pipeline.core.checkpoints import save_checkpoints
from pipeline.core.device import map_seeds, precision_name
from pipeline.core.files import write_json
from pipeline.core.runs import times_folder
from pipeline.data.arrays import Arrays, Batches
from pipeline.metrics.classification import Metrics, add_prefix, classification_metrics
from pipeline.metrics.seeds import aggregate_seeds
from pipeline.training.loop import FitResult, LogFn, Task, Trainer, fit, fit_seeds, training_size, training_times
from pipeline.training.states import States, open_states
from pipeline.training.tracker import Tracker

Result = TypeVar("Result")


class SeedResult(NamedTuple):
    """The test metrics and logits of the trained net of one seed."""

    metrics: Metrics
    logits: Tensor | None = None  # (N,) where the net is a classifier


class SeedResults(NamedTuple):
    """The metrics and logits of a training over seeds; both repeat in every run."""

    metrics: dict[str, Any]  # of the test split over seeds, the constants, and loop.training_size
    logits: list[Tensor]  # (N,) of every seed, where the nets are classifiers


EvaluateFn = Callable[[int, FitResult], SeedResult]  # evaluate(seed, the result of its training)


def fit_and_test(
    tasks: Mapping[int, Task],
    recipe: Recipe,
    epochs: int,
    evaluate: EvaluateFn,
    log: LogFn,
    device: torch.device,
    states: States,
    trainer: Trainer = fit,
) -> tuple[list[FitResult], list[SeedResult]]:
    """Train every seed's task and test its net, side by side on a CPU; both lists are in the order of `tasks`.

    Interrupted trainings go on from their state in `states`.
    """
    tasks = {seed: replace(task, states=states) for seed, task in tasks.items()}
    fits = fit_seeds(tasks, recipe, epochs, log, device, trainer)
    by_seed = dict(zip(tasks, fits, strict=True))
    return fits, map_seeds(lambda seed: evaluate(seed, by_seed[seed]), list(tasks), device)


def map_by_seed(work: Callable[[int], Result], seeds: Sequence[int], device: torch.device) -> dict[int, Result]:
    """Return seed -> `work(seed)`, computed side by side on a CPU."""
    return dict(zip(seeds, map_seeds(work, seeds, device), strict=True))


def train_over_seeds(
    folder: Path,
    tasks: Mapping[int, Task],
    recipe: Recipe,
    epochs: int,
    evaluate: EvaluateFn,
    data: Arrays,
    config: Mapping[str, Any],
    about: Mapping[str, Any] | None = None,
    constants: Mapping[str, Any] | None = None,
    models: Mapping[int, nn.Module] | None = None,
    trainer: Trainer = fit,
) -> SeedResults:
    """Train every seed's task, test its net, and leave history and checkpoints in `folder`, times in its times folder.

    `config` goes to the tracker, `about` (how to build the net) into the checkpoints: without it none is saved.
    `constants`, such as chance levels, join the metrics. `models` are the nets to save where a task trains only a part
    of one. Logits, if `evaluate` gives any, are of the whole test split.
    """
    models = models or {seed: task.model for seed, task in tasks.items()}
    device, seeds = data.label.device, list(tasks)
    states = open_states(folder, config, device)
    with Tracker(folder, seeds, epochs, device, dict(config), models[seeds[0]]) as tracker:
        fits, results = fit_and_test(tasks, recipe, epochs, evaluate, tracker.epoch, device, states, trainer)
        if about is not None:
            save_checkpoints(folder, models, dict(about))
        metrics = aggregate_seeds([result.metrics for result in results])
        metrics |= {"precision": precision_name(device)} | dict(constants or {}) | training_size(models, fits)
        times = training_times(fits)
        write_json(times_folder(folder) / "times.json", times)
        logits = [result.logits for result in results if result.logits is not None]
        if logits:
            tracker.predictions(logits, data, data.splits["test"])
        tracker.summary(metrics | times)
    return SeedResults(metrics, logits)


def make_validate(
    predict: Callable[[nn.Module, Batches], Tensor], batches: Batches, label: Tensor
) -> Callable[[nn.Module], Metrics]:
    """Return the `validate` of a classifier's task: metrics on `batches` of labels (N,), under names `val_...`."""
    return lambda model: add_prefix("val", classification_metrics(predict(model, batches), label))

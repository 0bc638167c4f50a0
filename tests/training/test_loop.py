"""The one loop: it learns, repeats, keeps the best weights, and leaves frozen ones alone."""

import re
from dataclasses import replace
from math import inf, isnan, nan
from pathlib import Path

import pytest
import torch
from torch import nn

from pipeline.config.types import Recipe
from pipeline.core.device import build_seeded, make_generator, setup_device
from pipeline.core.errors import PipelineError
from pipeline.data.arrays import Batches, Examples, load_arrays
from pipeline.metrics.classification import add_prefix, classification_metrics
from pipeline.metrics.inference import pair_logits
from pipeline.models.blocks import freeze, mlp
from pipeline.models.cilp import CrossModalClassifier, ProjectedClassifier
from pipeline.models.fusion import build_fusion
from pipeline.raw.prepare import prepare
from pipeline.raw.splitting import split_by_scene
from pipeline.tools.simulator.simulate import simulate
from pipeline.training.loop import (
    FitResult,
    Task,
    fit,
    fit_seeds,
    lr_at_step,
    timing_metrics,
    training_size,
    training_times,
)
from pipeline.training.objectives import label_objective, pair_objective, projection_objective
from pipeline.training.states import States
from support import line_training

CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def learnable(tmp_path_factory):
    """Prepare enough scenes to learn from in a few seconds."""
    folder = tmp_path_factory.mktemp("learnable")
    simulate(folder / "raw", 150, 0)
    fractions = {"train": 0.7, "val": 0.1, "test": 0.2}
    prepare(folder / "raw", folder / "arrays", lambda scenes, _: split_by_scene(scenes, fractions, 0))
    return folder / "arrays"


RECIPE = Recipe(lr=0.05, batch_size=4, warmup_fraction=0.0, schedule="constant", grad_clip_norm=None)


def line_task(seed: int = 0, validate=None) -> Task:
    """Return a task of ten points on y = 2x + 1, for one linear layer."""
    x = torch.linspace(-1, 1, 10).unsqueeze(1)
    data = Examples(x, 2 * x + 1)
    model = build_seeded(seed, lambda: nn.Linear(1, 1))
    batches = Batches(data.rows, torch.arange(10), RECIPE.batch_size)
    return Task(
        model,
        projection_objective,
        batches,
        validate or (lambda net: {"val_loss": float((net(x) - data.targets).detach().square().mean())}),
    )


def test_fit_finds_a_line():
    task = line_task()
    fitted = fit(task, RECIPE, 100, 0, lambda seed, row: None)
    assert task.model.weight.item() == pytest.approx(2, abs=0.02) and task.model.bias.item() == pytest.approx(
        1, abs=0.02
    )
    assert [row["epoch"] for row in fitted.history] == list(range(1, 101))
    assert fitted.history[0]["train_loss"] > fitted.history[-1]["train_loss"]


def test_train_loss_is_the_mean_over_samples_not_over_batches(monkeypatch):
    monkeypatch.setattr("pipeline.core.device.precision", lambda device: torch.float32)
    still = Recipe(lr=1e-12, batch_size=4, warmup_fraction=0.0, schedule="constant", grad_clip_norm=None)
    task = line_task()
    row = fit(task, still, 1, 0, lambda seed, row: None).history[0]
    assert row["train_loss"] == pytest.approx(row["val_loss"], rel=1e-5)  # ten samples in batches of 4, 4 and 2


def test_the_best_epoch_stays_in_the_model_not_the_last():
    losses = iter([3.0, 1.0, 2.0])
    weights = []
    task = line_task(validate=lambda net: weights.append(task.model.weight.item()) or {"val_loss": next(losses)})
    fitted = fit(task, RECIPE, 3, 0, lambda seed, row: None)
    assert fitted.best["epoch"] == 2
    assert task.model.weight.item() == weights[1] != weights[2]


def test_the_same_seeds_give_the_same_weights_and_others_do_not():
    def weights(initial: int, order: int) -> float:
        task = line_task(initial)
        fit(task, RECIPE, 2, order, lambda seed, row: None)
        return task.model.weight.item()

    assert weights(0, 0) == weights(0, 0)
    assert weights(0, 0) != weights(0, 1)
    assert weights(0, 0) != weights(1, 0)


def test_fit_seeds_equals_one_training_after_another():
    tasks = {seed: line_task(seed) for seed in (0, 1, 2)}
    fit_seeds(tasks, RECIPE, 3, lambda seed, row: None, CPU)
    for seed, task in tasks.items():
        alone = line_task(seed)
        fit(alone, RECIPE, 3, seed, lambda seed, row: None)
        assert torch.equal(alone.model.weight, task.model.weight)


def test_frozen_parts_are_the_same_bits_afterwards():
    head, embedder = freeze(mlp([3, 4, 1])), freeze(nn.Linear(2, 2))
    model = CrossModalClassifier(embedder, ProjectedClassifier(nn.Linear(2, 3), head))
    before = {name: value.clone() for name, value in model.state_dict().items()}
    data = Examples(torch.randn(8, 2), torch.tensor([0.0, 1.0] * 4))
    task = Task(model, label_objective, Batches(data.rows, torch.arange(8), 4), lambda net: {"val_loss": 0.0})
    fit(task, RECIPE, 3, 0, lambda seed, row: None)
    changed = {name for name, value in model.state_dict().items() if not torch.equal(value, before[name])}
    assert changed == {"tail.projector.weight", "tail.projector.bias"}


def test_a_long_gradient_is_shortened_and_a_short_one_is_not():
    def moved(clip: float | None) -> list[float]:
        """Return the norms of the gradients that Adam used in one epoch."""
        task, norms = line_task(), []
        recipe = Recipe(lr=1e-9, batch_size=10, warmup_fraction=0.0, schedule="constant", grad_clip_norm=clip)
        weights = list(task.model.parameters())
        real = torch.optim.Adam.step

        def step(self, *arguments):
            norms.append(torch.cat([weight.grad.flatten() for weight in weights]).norm().item())
            return real(self, *arguments)

        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(torch.optim.Adam, "step", step)
            fit(task, recipe, 1, 0, lambda seed, row: None)
        return norms

    free, held, loose = moved(None), moved(0.1), moved(100.0)
    assert free[0] > 0.5 and held == pytest.approx([0.1] * len(held), rel=1e-3) and loose == free


@pytest.mark.parametrize("clip", [None, 100.0, 0.1])
def test_the_gradient_is_measured_before_it_is_shortened(clip):
    model = nn.Linear(1, 1)
    nn.init.zeros_(model.weight)
    nn.init.zeros_(model.bias)
    data = Examples(torch.tensor([[1.0], [3.0]]), torch.tensor([[1.0], [1.0]]))
    task = Task(model, projection_objective, Batches(data.rows, torch.arange(2), 2), lambda net: {"val_loss": 0.0})
    recipe = Recipe(lr=1e-9, batch_size=2, warmup_fraction=0.0, schedule="constant", grad_clip_norm=clip)
    history = fit(task, recipe, 2, 0, lambda seed, row: None).history
    # mean squared error of 0 for 1: by weight -2 (1 + 3) / 2 = -4, by bias -2
    assert [row["gradient_norm"] for row in history] == pytest.approx([20**0.5] * 2, rel=1e-4)


def test_a_frozen_part_has_no_gradient_to_measure():
    model = nn.Sequential(nn.Linear(1, 1), nn.Linear(1, 1))
    freeze(model[0])
    data = Examples(torch.ones(2, 1), torch.ones(2, 1))
    task = Task(model, projection_objective, Batches(data.rows, torch.arange(2), 2), lambda net: {"val_loss": 0.0})
    (row,) = fit(task, RECIPE, 1, 0, lambda seed, row: None).history
    assert 0 < row["gradient_norm"] < 1000


def test_train_metrics_are_those_of_the_logits_in_training():
    """Every sample once, with the label that belongs to it, from batches of different sizes."""
    model = nn.Flatten(0)  # returns its input
    model.register_parameter("unused", nn.Parameter(torch.zeros(1)))
    label = torch.tensor([0.0, 1.0, 1.0, 0.0, 1.0])
    data, calls = Examples(torch.arange(5.0).unsqueeze(1), label), []

    def score(logits, targets):
        calls.append((logits, targets))
        return {"loss": -1.0, "accuracy": 0.25}

    def objective(net, batch):
        loss, logits = label_objective(net, batch)
        return loss + 0 * net.unused.sum(), logits

    task = Task(
        model, objective, Batches(data.rows, torch.arange(5), 3), lambda net: {"val_loss": float(net(label)[0])}, score
    )
    (row,) = fit(task, RECIPE, 1, 0, lambda seed, row: None).history
    ((logits, targets),) = calls  # not at evaluation
    assert sorted(logits.tolist()) == [0, 1, 2, 3, 4] and targets.tolist() == label[logits.long()].tolist()
    assert row["train_accuracy"] == 0.25 and row["train_loss"] > 0  # the loss is the loop's own


def test_weights_are_the_same_bits_whether_scored_or_not():
    def weights(score) -> list[torch.Tensor]:
        model = build_seeded(0, lambda: nn.Sequential(nn.Linear(3, 4), nn.ReLU(), nn.Linear(4, 1), nn.Flatten(0)))
        data = Examples(torch.randn(9, 3, generator=make_generator(1)), torch.tensor([0.0, 1.0, 1.0] * 3))
        batches = Batches(data.rows, torch.arange(9), 4)
        fit(Task(model, label_objective, batches, lambda net: {"val_loss": 0.0}, score), RECIPE, 3, 0, lambda *_: None)
        return list(model.parameters())

    assert all(map(torch.equal, weights(None), weights(classification_metrics)))


def test_an_epoch_reports_its_time_and_memory():
    fitted = fit(line_task(), RECIPE, 3, 0, lambda seed, row: None)
    for row in fitted.history:
        assert row["seconds"] > 0 and row["peak_memory_mb"] > 50
        assert row["samples_per_second"] == pytest.approx(10 / row["seconds"], rel=0.01)
    assert fitted.seconds == sum(row["seconds"] for row in fitted.history)
    assert fitted.seconds_per_epoch == pytest.approx(fitted.seconds / 3)  # a division is rounded


def test_costs_are_those_of_the_rows():
    def fitted(*rows: tuple[float, float]) -> FitResult:
        history = [timing_metrics(seconds, 10, peak) for seconds, peak in rows]
        return FitResult(history, history[0])

    fits = [fitted((1, 100), (2, 300)), fitted((4, 200), (1, 250))]
    assert training_times(fits) == {"seconds": 4.0, "seconds_per_epoch": 2.0, "peak_memory_mb": 300.0}
    shared = [fits[0], fitted((4, 200), (nan, 250))]  # resumed on a GPU that others used too
    assert training_times(shared) == {"seconds": None, "seconds_per_epoch": None, "peak_memory_mb": 300.0}
    assert isnan(shared[1].history[1]["samples_per_second"])
    nets = {0: nn.Linear(1, 1), 1: nn.Linear(1, 1)}
    assert training_size(nets, fits) == {"parameters": 2, "trainable_parameters": 2, "epochs": 2}


def test_a_diverged_training_raises():
    with pytest.raises(PipelineError) as refusal:
        fit(line_task(validate=lambda net: {"val_loss": nan}), RECIPE, 2, 7, lambda seed, row: None)
    assert re.fullmatch(
        r"val_loss of seed 7 is nan after epoch 1, whose mean gradient norm was [\d.]+; expected a finite number; "
        "nothing was written, and earlier results stay; lower lr, or set grad_clip_norm",
        str(refusal.value),
    )


def test_a_metric_without_bound_is_refused_by_its_name():
    metrics = {"val_loss": 1.0, "temperature": inf}
    with pytest.raises(
        PipelineError, match="^temperature of seed 7 is inf after epoch 1, whose mean gradient norm was"
    ):
        fit(line_task(validate=lambda net: metrics), RECIPE, 2, 7, lambda seed, row: None)


def test_a_training_that_goes_on_from_its_last_state_leaves_the_net_in_eval_mode(tmp_path: Path) -> None:
    """Batch norm in training mode would take the statistics of the test pairs, and change its own."""
    for _ in range(2):
        task = replace(line_training.build_task(0, lambda seed: None), states=States(tmp_path, "inputs"))
        fit(task, line_training.RECIPE, line_training.EPOCHS, 0, lambda seed, metrics: None)
        assert not task.model.training


def test_the_learning_rate_rises_then_falls_to_nothing():
    cosine = Recipe(lr=1.0, batch_size=1, warmup_fraction=0.2, schedule="cosine", grad_clip_norm=None)
    rates = [lr_at_step(cosine, step, 10) for step in range(10)]
    assert rates[:3] == pytest.approx([1 / 3, 2 / 3, 1.0])
    assert rates[6] == pytest.approx(0.5)  # half way down
    assert all(a > b for a, b in zip(rates[2:], rates[3:], strict=False)) and rates[-1] < 0.05
    constant = Recipe(lr=1.0, batch_size=1, warmup_fraction=0.2, schedule="constant", grad_clip_norm=None)
    assert [lr_at_step(constant, step, 10) for step in range(10)] == pytest.approx([1 / 3, 2 / 3] + [1.0] * 8)


def test_costs_count_every_parameter():
    task = line_task()
    fits = [fit(task, RECIPE, 2, 0, lambda seed, row: None)]
    figures, times = training_size({0: task.model}, fits), training_times(fits)
    assert figures["parameters"] == 2 and figures["epochs"] == 2
    assert times["peak_memory_mb"] > 50 and times["seconds_per_epoch"] >= 0


@pytest.mark.slow
def test_a_net_learns_true_labels_and_stays_at_chance_on_shuffled_ones(learnable):
    """Train from arrays to accuracy: if a label leaked anywhere, shuffling would not hurt."""
    data = load_arrays(learnable, setup_device())

    def accuracy(label: torch.Tensor) -> float:
        train, test = (
            Batches(lambda rows: data.with_xyza(rows)._replace(label=label[rows]), data.splits[name], 16)
            for name in ("train", "test")
        )
        widths = {"channels": [12, 24], "shared_channels": [24], "head_dims": [24]}
        model = build_seeded(0, lambda: build_fusion("concat", "strided", widths, **data.depth_stats))

        def evaluate(net: nn.Module) -> dict[str, float]:
            return add_prefix("val", classification_metrics(pair_logits(net, test), label[test.rows]))

        recipe = Recipe(lr=2e-3, batch_size=16, warmup_fraction=0.15, schedule="cosine", grad_clip_norm=None)
        fitted = fit(Task(model, pair_objective, train, evaluate), recipe, 25, 0, lambda seed, row: None)
        return fitted.history[-1]["val_accuracy"]

    shuffled = data.label[torch.randperm(len(data.label), generator=torch.Generator().manual_seed(0))]
    assert accuracy(data.label) >= 0.9
    assert 0.35 <= accuracy(shuffled) <= 0.65

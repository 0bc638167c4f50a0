"""Training over seeds: figures in the order of the seeds, checkpoints where they are described, parts of nets."""

import json
from math import nan
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from torch import nn

from pipeline.config.types import Recipe
from pipeline.core.checkpoints import load_checkpoint
from pipeline.core.device import precision_name
from pipeline.core.files import read_tsv
from pipeline.core.runs import checkpoint_path
from pipeline.data.arrays import Batches, Examples
from pipeline.training.loop import Task
from pipeline.training.objectives import projection_objective
from pipeline.training.seeds import SeedResult, train_over_seeds

RECIPE = Recipe(lr=0.01, batch_size=2, warmup_fraction=0.0, schedule="constant", grad_clip_norm=None)
DATA = SimpleNamespace(label=torch.zeros(4), splits={"test": torch.arange(4)})
SEEDS = [5, 2]


@pytest.fixture
def folder(tmp_path, monkeypatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return Path("runs/fusion/line")


@pytest.fixture
def tasks(monkeypatch) -> dict[int, Task]:
    monkeypatch.setenv("WANDB_MODE", "disabled")
    examples = Examples(torch.ones(4, 1), torch.ones(4, 1))

    def task(seed: int) -> Task:
        model = nn.Linear(1, 1)
        nn.init.constant_(model.weight, float(seed))
        return Task(
            model, projection_objective, Batches(examples.rows, torch.arange(4), 2), lambda net: {"val_loss": 0.0}
        )

    return {seed: task(seed) for seed in SEEDS}


def train(folder, tasks, **options):
    def evaluate(seed, result):
        return SeedResult({"score": float(seed), "epochs_seen": float(len(result.history))})

    return train_over_seeds(folder, tasks, RECIPE, 2, evaluate, DATA, {}, **options)


def test_metrics_are_aggregated_and_constants_join_them(tasks, folder):
    metrics, logits = train(folder, tasks, constants={"chance": 0.25})
    assert metrics["score"] == 3.5 and metrics["epochs_seen"] == 2.0 and metrics["chance"] == 0.25
    assert metrics["precision"] == precision_name(DATA.label.device)
    assert metrics["epochs"] == 2 and metrics["parameters"] == 2 and logits == []
    header = (folder / "history.tsv").read_text().split("\n")[0]
    assert header.index("train_loss_seed5") < header.index("train_loss_seed2") and "seconds" not in header


def test_times_lie_apart_from_figures(tasks, folder):
    metrics, _ = train(folder, tasks)
    times = json.loads(Path("runs/times/fusion/line/times.json").read_text())
    assert set(times) == {"seconds", "seconds_per_epoch", "peak_memory_mb"} and not set(times) & set(metrics)
    assert {path.name for path in folder.iterdir()} == {"history.tsv"}


def test_seconds_that_were_not_measured_are_null(tasks, folder, monkeypatch, capsys):
    monkeypatch.setattr("pipeline.training.loop.compute_seconds", lambda _: nan)
    train(folder, tasks)
    times = json.loads(Path("runs/times/fusion/line/times.json").read_text())
    assert times["seconds"] is times["seconds_per_epoch"] is None and times["peak_memory_mb"] > 0
    epochs = read_tsv(Path("runs/times/fusion/line/epochs.tsv"))
    assert epochs["seconds"].isna().all() and epochs["samples_per_second_seed2"].isna().all()
    assert (epochs["peak_memory_mb"] > 0).all() and "seconds" not in capsys.readouterr().out


def test_without_a_description_no_checkpoint_is_saved(tasks, folder):
    train(folder, tasks)
    assert not (folder / "models").exists()


def test_checkpoints_hold_the_net_of_their_seed(tasks, folder):
    train(folder, tasks, about={"kind": "line"})
    for seed in SEEDS:
        weights, about = load_checkpoint(checkpoint_path(folder, seed))
        assert weights["weight"].equal(tasks[seed].model.weight) and (about["kind"], about["seed"]) == ("line", seed)


def test_the_whole_net_is_saved_where_a_part_of_it_is_trained(tasks, folder):
    models = {seed: nn.Sequential(tasks[seed].model, nn.Linear(1, 3)) for seed in SEEDS}
    metrics, _ = train(folder, tasks, about={"kind": "line"}, models=models)
    weights, _ = load_checkpoint(checkpoint_path(folder, 5))
    assert set(weights) == {"0.weight", "0.bias", "1.weight", "1.bias"} and metrics["parameters"] == 8

"""Late fusion of frozen nets: the branches learn alone, then stay as they are."""

import copy

import pytest
import torch
from torch import nn

from pipeline.config.types import Recipe
from pipeline.data.arrays import Batch, Batches
from pipeline.models.fusion import build_fusion
from pipeline.training.frozen import TRAINERS, fit_frozen_late
from pipeline.training.loop import Task, timing_metrics
from pipeline.training.objectives import pair_objective

RECIPE = Recipe(lr=0.01, batch_size=4, warmup_fraction=0.0, schedule="constant", grad_clip_norm=1.0)
WIDTHS = {"channels": [2, 3], "embed_dim": 4, "head_dims": [5]}


def task(states: list) -> Task:
    torch.manual_seed(0)
    rgb, lidar = torch.rand(8, 4, 64, 64), torch.rand(8, 4, 64, 64)
    label = torch.tensor([0.0, 1.0] * 4)
    batches = Batches(lambda rows: Batch(rgb[rows], lidar[rows], label[rows]), torch.arange(8), 4)

    def evaluate(net: nn.Module) -> dict[str, float]:
        states.append(copy.deepcopy(net.state_dict()))
        return {"val_loss": 1.0 / len(states)}

    return Task(build_fusion("late_frozen", "strided", WIDTHS), pair_objective, batches, evaluate)


def test_the_branches_learn_alone_and_the_head_last():
    states: list[dict] = []
    whole = task(states)
    start = copy.deepcopy(whole.model.state_dict())
    rows = []
    fitted = fit_frozen_late(whole, RECIPE, 2, 0, lambda seed, row: rows.append(row))
    rgb, lidar, last = states[:2], states[2:4], states[4:]
    end = whole.model.state_dict()
    for name in start:
        branch = name.split(".")[0]
        if branch == "head":
            assert not torch.equal(end[name], start[name])
        else:
            trained = {"rgb": rgb, "lidar": lidar}[branch][-1][name]
            assert not torch.equal(trained, start[name])
            assert all(torch.equal(net[name], trained) for net in last)
    assert {name.split(".")[0] for name in rgb[0]} == {"rgb", "head"} and "lidar.1.0.0.weight" in lidar[0]
    assert [row["epoch"] for row in rows] == [1, 2] == [row["epoch"] for row in fitted.history]


def test_seconds_are_those_of_all_three_trainings(monkeypatch):
    took, real = (
        iter([1.0, 2.0, 10.0, 20.0, 100.0, 200.0]),
        timing_metrics,
    )  # two epochs of each branch, then of the head
    monkeypatch.setattr(
        "pipeline.training.loop.timing_metrics", lambda _, samples, peak: real(next(took), samples, peak)
    )
    rows = []
    fitted = fit_frozen_late(task([]), RECIPE, 2, 0, lambda seed, row: rows.append(row))
    assert [row["seconds"] for row in rows] == [111.0, 222.0] == [row["seconds"] for row in fitted.history]
    assert [row["samples_per_second"] for row in rows] == pytest.approx([8 / 111, 8 / 222], abs=1e-3)
    assert fitted.best == fitted.history[int(fitted.best["epoch"]) - 1]


def test_its_peak_is_the_largest_of_all_three_trainings(monkeypatch):
    peaks = iter([50.0, 60.0, 900.0, 80.0, 300.0, 300.0])
    monkeypatch.setattr("pipeline.training.loop.peak_memory", lambda device: next(peaks))
    assert fit_frozen_late(task([]), RECIPE, 2, 0, lambda seed, row: None).peak_memory_mb == 900.0


def test_all_other_fusions_are_trained_in_one_go():
    assert TRAINERS == {"late_frozen": fit_frozen_late}


def test_the_seed_orders_and_draws_the_trainings_of_the_encoders():
    def encoders(seed: int) -> list[torch.Tensor]:
        states: list[dict] = []
        fit_frozen_late(task(states), RECIPE, 1, seed, lambda seed, row: None)
        return [states[0]["head.weight"], states[1]["head.weight"]]  # heads of RGB and LiDAR alone

    for first, again, other in zip(encoders(3), encoders(3), encoders(0), strict=True):
        assert first.equal(again) and not first.equal(other)

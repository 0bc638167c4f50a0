"""Files always, wandb beside them without an account: both hold the same numbers."""

import json
import threading
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from PIL import Image
from torch import nn

from pipeline.core.checkpoints import save_checkpoints
from pipeline.core.runs import checkpoint_path
from pipeline.data.arrays import load_arrays
from pipeline.training.tracker import Tracker
from support.offline import read_run, runs

CPU = torch.device("cpu")
NET = nn.Linear(2, 1)
TIMES = Path("runs/times/fusion/late-maxpool")
METRICS = {"accuracy": 0.75, "accuracy_ci95": None, "seconds": 3.5, "parameters": 3, "confusion": [[1, 0], [1, 2]]}


def row(epoch: int, loss: float) -> dict[str, float]:
    measured = {"epoch": epoch, "lr": 0.1, "train_loss": loss, "gradient_norm": loss / 3, "val_loss": loss + 1}
    return measured | {"seconds": 1 + loss, "samples_per_second": 1000 / 3, "peak_memory_mb": 100 * loss}


def two_seeds(folder, **config) -> None:
    with Tracker(folder, [0, 1], 2, CPU, config, NET) as tracker:
        for epoch, seed, loss in ((1, 0, 1.0), (2, 0, 0.5), (1, 1, 3.0), (2, 1, 1.5)):  # seed 0 runs ahead
            tracker.epoch(seed, row(epoch, loss))
        tracker.summary(METRICS)


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("WANDB_MODE", "disabled")
    monkeypatch.setattr("pipeline.tracking.wandb_run.TIMEOUT_S", 30)  # two tests at a time
    monkeypatch.setattr("pipeline.tracking.wandb_run._stuck", threading.Event())
    for name in ("WANDB_API_KEY", "WANDB_DIR", "DVC_ROOT", "DVC_EXP_NAME"):
        monkeypatch.delenv(name, raising=False)
    return Path("runs/fusion/late-maxpool")


def test_history_has_means_and_every_seed(folder):
    two_seeds(folder)
    table = pd.read_csv(folder / "history.tsv", sep="\t")
    assert table["epoch"].tolist() == [1, 2]
    assert table["train_loss"].tolist() == [2.0, 1.0]
    assert table["train_loss_seed0"].tolist() == [1.0, 0.5] and table["val_loss_seed1"].tolist() == [4.0, 2.5]


def test_times_and_memory_lie_apart_from_what_repeats(folder):
    two_seeds(folder)
    history, timings = (pd.read_csv(path, sep="\t") for path in (folder / "history.tsv", TIMES / "epochs.tsv"))
    timed = ["seconds", "samples_per_second", "peak_memory_mb"]
    assert list(timings) == ["epoch", *timed, *(f"{name}_seed{seed}" for seed in (0, 1) for name in timed)]
    assert set(history) & set(timings) == {"epoch"}
    assert timings["seconds"].tolist() == [3.0, 2.0]  # means over seeds
    assert timings["peak_memory_mb"].tolist() == [300.0, 150.0]  # the largest


def test_a_failed_training_writes_no_tables(folder):
    with pytest.raises(ZeroDivisionError), Tracker(folder, [0], 2, CPU, {}) as tracker:
        tracker.epoch(0, row(1, 1.0))
        raise ZeroDivisionError
    assert not folder.exists()


def test_disabled_makes_no_wandb_folder(folder, tmp_path):
    two_seeds(folder)
    assert not (tmp_path / "wandb").exists()


def test_an_offline_run_holds_the_rows_of_both_tables_and_the_summary_alone(folder, tmp_path, monkeypatch):
    monkeypatch.setenv("WANDB_MODE", "offline")
    two_seeds(folder, lr=0.1, fusion="late")
    (path,) = runs(tmp_path)
    logged = read_run(path)
    assert logged.code == 0 and logged.run.display_name == "fusion/late-maxpool" and logged.run.job_type == "fusion"
    paths = folder / "history.tsv", TIMES / "epochs.tsv"
    tables = [pd.read_csv(path, sep="\t").set_index("epoch") for path in paths]
    rows = {item["epoch"]: item for item in logged.history}
    assert list(rows) == [1, 2]
    for epoch, expected in pd.concat(tables, axis=1).iterrows():
        logged_row = {name: value for name, value in rows[epoch].items() if name[0] != "_" and name != "epoch"}
        assert logged_row == pytest.approx(expected.to_dict(), rel=1e-8)
    assert {name: value for name, value in logged.summary.items() if not name.startswith("_")} == METRICS
    expected = {"lr": 0.1, "fusion": "late", "seeds": [0, 1], "device": "cpu", "parameters": 3}
    assert expected.items() <= logged.config.items()
    assert logged.config["architecture"] == str(NET) and logged.config["precision"] in ("float32", "bfloat16")


def test_a_failed_training_is_a_failed_run(folder, tmp_path, monkeypatch):
    monkeypatch.setenv("WANDB_MODE", "offline")
    with pytest.raises(ZeroDivisionError), Tracker(folder, [0], 2, CPU, {}) as tracker:
        tracker.epoch(0, row(1, 1.0))
        raise ZeroDivisionError
    logged = read_run(runs(tmp_path)[0])
    assert logged.code == 1 and [item["epoch"] for item in logged.history] == [1]


def test_a_checkpoint_and_predictions_of_test_pairs_go_along(folder, tmp_path, monkeypatch, prepared):
    monkeypatch.setenv("WANDB_MODE", "offline")
    monkeypatch.setenv("DVC_EXP_NAME", "dusky-tern")
    data = load_arrays(prepared, CPU)
    rows = data.splits["test"]
    right = data.label[rows] * 8 - 4
    with Tracker(folder, [0, 1], 1, CPU, {}) as tracker:
        save_checkpoints(folder, {0: NET, 1: NET}, {"kind": "fusion"})
        tracker.predictions([right, -right], data, rows)
        tracker.summary(METRICS)
    logged = read_run(runs(tmp_path)[0])
    assert logged.run.run_group == "dusky-tern" == logged.config["experiment"]
    (model,) = logged.artifacts["model"]
    assert model.name == "fusion-late-maxpool"
    assert model.aliases == {"latest", "best", "dusky-tern", "seed0"} and list(model.files) == ["seed0.safetensors"]
    copy = model.files["seed0.safetensors"]
    assert copy.read_bytes() == checkpoint_path(folder, 0).read_bytes()
    assert copy.is_relative_to(tmp_path / "wandb")  # not in the home of the user
    tables = {artifact.name.split("-")[-1]: artifact.files for artifact in logged.artifacts["run_table"]}
    cells = json.loads(tables["confusion_table"]["confusion_table.table.json"].read_text())["data"]
    assert [count for _, _, count in cells] == [2, 2, 2, 2]  # one seed is right throughout, the other wrong
    table = json.loads(tables["predictions"]["predictions.table.json"].read_text())
    pairs = pd.DataFrame(table["data"], columns=table["columns"])
    assert pairs["correct"].all() and set(pairs["pair"]) == set(rows.tolist())
    assert pairs["class"].tolist() == pairs["predicted"].tolist()
    for _, pair in pairs.iterrows():
        rgb, lidar = (np.array(Image.open(tables["predictions"][pair[side]["path"]])) for side in ("rgb", "lidar"))
        assert (rgb == data.rgb[pair["pair"]].numpy()).all() and lidar.shape == (64, 64, 3) and lidar.any()
    clouds = [name for name in logged.files if name.endswith(".pts.json")]
    assert len(clouds) == 3
    for name in clouds:
        points = json.loads((logged.folder / "files" / name).read_text())
        assert 0 < len(points) <= 300 and len(points[0]) == 6

"""Files always, wandb beside them without an account, and never in the way."""

import struct

import pandas as pd
import pytest
import torch
import wandb
from wandb.proto import wandb_internal_pb2

from pipeline.training.tracking import Tracker

CPU = torch.device("cpu")


def row(epoch: int, loss: float) -> dict[str, float]:
    return {"epoch": epoch, "lr": 0.1, "train_loss": loss, "val_loss": loss + 1, "val_accuracy": 0.5}


def records(log: bytes):
    """The records of a .wandb file: 7 bytes of head, then a LevelDB log, records cut at the ends of 32 KB blocks."""
    position, parts = 7, b""
    while position + 7 <= len(log):
        left = 32768 - position % 32768
        length, kind = struct.unpack_from("<HB", log, position + 4)
        if left < 7 or kind == 0:  # the rest of a block that could not hold another record
            position += left
            continue
        parts += log[position + 7 : position + 7 + length]
        position += 7 + length
        if kind in (1, 4):  # whole, or the last part
            yield parts
            parts = b""


def two_seeds(folder, **config) -> None:
    with Tracker(folder, [0, 1], 2, CPU, config) as tracker:
        for epoch, seed, loss in ((1, 0, 1.0), (2, 0, 0.5), (1, 1, 3.0), (2, 1, 1.5)):  # seed 0 runs ahead
            tracker.epoch(seed, row(epoch, loss))
        tracker.summary({"accuracy": 0.75})


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("WANDB_MODE", "disabled")
    yield tmp_path / "fusion" / "late-maxpool"
    wandb.teardown()  # it keeps settings from its first run on


def test_history_has_means_and_every_seed(folder):
    two_seeds(folder)
    table = pd.read_csv(folder / "history.tsv", sep="\t")
    assert table["epoch"].tolist() == [1, 2]
    assert table["train_loss"].tolist() == [2.0, 1.0]
    assert table["train_loss_seed0"].tolist() == [1.0, 0.5] and table["val_loss_seed1"].tolist() == [4.0, 2.5]


def test_a_failed_training_writes_no_history(folder):
    with pytest.raises(ZeroDivisionError), Tracker(folder, [0], 2, CPU, {}) as tracker:
        tracker.epoch(0, row(1, 1.0))
        raise ZeroDivisionError
    assert not (folder / "history.tsv").exists()


def test_disabled_makes_no_wandb_folder(folder, tmp_path):
    two_seeds(folder)
    assert not (tmp_path / "wandb").exists()


def test_an_offline_run_holds_the_rows_of_the_history(folder, tmp_path, monkeypatch):
    monkeypatch.setenv("WANDB_MODE", "offline")
    monkeypatch.delenv("WANDB_API_KEY", raising=False)
    two_seeds(folder, lr=0.1)
    (log,) = (tmp_path / "wandb").glob("offline-run-*/run-*.wandb")
    logged = {}
    for data in records(log.read_bytes()):
        record = wandb_internal_pb2.Record.FromString(data)
        items = {item.key or "/".join(item.nested_key): float(item.value_json) for item in record.history.item}
        if "epoch" in items:
            logged[items["epoch"]] = items
    table = pd.read_csv(folder / "history.tsv", sep="\t")
    assert sorted(logged) == [1, 2]
    for _, expected in table.iterrows():
        for name, value in expected.items():
            assert logged[expected["epoch"]][name] == pytest.approx(value), name
        assert logged[expected["epoch"]]["peak_memory_mb"] > 50


def test_wandb_that_fails_costs_one_warning(folder, tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("WANDB_MODE", "no such mode")
    two_seeds(folder)
    assert (folder / "history.tsv").exists()
    assert capsys.readouterr().err.count("warning: wandb is off") == 1

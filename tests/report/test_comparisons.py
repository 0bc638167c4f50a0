"""Evidence from files of known content: leaders, verdicts and families."""

from types import SimpleNamespace

import numpy as np
import pytest

from pipeline.config.params import Cell
from pipeline.core.files import write_json, write_npy
from pipeline.report import cells
from pipeline.report.fusion import comparisons as evidence
from pipeline.report.fusion import tables as fusion_tables

N = 80  # test pairs, two a scene
KNOWN = cells.TestSet(np.arange(N), np.tile([0, 1], N // 2), np.arange(N) // 2)
MATRIX = {name: Cell(*name.split("-"), epochs=1) for name in ("rgb-maxpool", "late-maxpool", "late-strided")}
SHARE = {"rgb-maxpool": 0.6, "late-maxpool": 1.0, "late-strided": 1.0}
CELL = {
    name: value
    for key in ("val_loss", "loss", "accuracy", "f1", "ece")
    for name, value in ((key, 0.5), (f"{key}_ci95", 0.01))
} | {"chance": 0.5, "parameters": 1000, "seconds_per_epoch": 2.0, "peak_memory_mb": 700.5, "epochs": 4}


def logits(share: float, seed: int) -> np.ndarray:
    """(3, N): right in about `share` of the pairs, another draw a seed."""
    right = np.random.default_rng(seed).random((3, N)) < share
    return np.where(right == (KNOWN.label == 1), 1.0, -1.0).astype(np.float32)


@pytest.fixture
def runs(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    folder = tmp_path / "runs"
    for place, (name, share) in enumerate(SHARE.items()):
        told = CELL | {"val_loss": 1 - share, "accuracy": share, "confusion": [[60, 60], [0, 120]]}
        write_json(folder / "fusion" / name / "metrics.json", told)
        write_npy(folder / "fusion" / name / "logits.npy", logits(share, place))
    write_json(folder / "prepare" / "metrics.json", {"train": {"cubes": 700, "spheres": 700}})
    few = {"rgb": {"accuracy": 0.9, "accuracy_ci95": 0.1}, "late": {"accuracy": 0.55, "accuracy_ci95": 0.1}}
    write_json(folder / "curve" / "25" / "metrics.json", {"chance": 0.5, "fusions": few})
    write_npy(folder / "curve" / "25" / "logits.npy", np.stack([logits(0.9, 7), logits(0.55, 8)]))
    conditions = [["clean", None], ["rgb_dark", 0.5], ["rgb_dark", 0.1], ["lidar_missing", None]]
    said = np.stack([[logits(share, 10 * place + row) for row in range(4)] for place, share in enumerate((0.9, 1, 1))])
    said[0, 1:3] = logits(0.5, 99)  # in the dark RGB alone is lost
    write_npy(folder / "stress" / "logits.npy", said.astype(np.float32))
    table = [
        {"cell": name, "fault": fault, "severity": severity, "accuracy": 0.5, "accuracy_ci95": 0.1}
        for name in MATRIX
        for fault, severity in conditions
    ]
    told = {"pairs": N, "chance": 0.5, "conditions": conditions, "cells": list(MATRIX), "accuracy": table}
    write_json(folder / "stress" / "metrics.json", told)
    return folder


def test_comparison_names_the_leader_and_what_is_worse(runs):
    study = evidence.comparison(MATRIX, KNOWN)
    assert list(study.cells) == ["rgb-maxpool", "late-maxpool"] and study.leader == "late-maxpool"
    verdict = study.verdicts["rgb-maxpool"]
    assert verdict.word == "worse" and verdict.difference.mean == pytest.approx(-0.4, abs=0.06)
    table = fusion_tables.comparison(study)
    assert "| leader " in table and "| worse (-0." in table
    blind = [line for line in table.splitlines() if "frequent" in line or "a coin" in line]
    assert all(" 0.6931 " in line and " 0.5000 " in line for line in blind) and " 0.3333 " in blind[0]


def test_ablation_stands_beside_the_base_of_the_same_fusion(runs):
    study = evidence.ablation(MATRIX, KNOWN)
    assert study.groups == {"late": ["late-maxpool", "late-strided"]}
    assert study.verdicts["late-strided"].word == "not distinguishable"
    base, strided = fusion_tables.ablation(study).splitlines()[2:]
    assert "(x" not in base and "2.00 (x1.00)" in strided and "not distinguishable (+0.0000 ± 0.0000, p 1)" in strided


def test_curve_ends_with_the_cells_trained_on_everything(runs):
    study = evidence.curve(["rgb", "late"], [25], "maxpool", MATRIX, KNOWN, "late-maxpool")
    assert list(study.points) == [25, 700] and study.reference == "late"
    assert study.verdicts[25, "rgb"].word == "better" and study.verdicts[700, "rgb"].word == "worse"
    lines = fusion_tables.curve(study).splitlines()
    assert "0.900 ± 0.100*" in lines[2] and "late (reference)" in lines[3] and "*" not in lines[3]


def test_a_curve_on_another_downsampling_has_no_last_point_for_fusions_without_a_cell(runs):
    study = evidence.curve(["rgb", "late"], [25], "strided", MATRIX, KNOWN, "late-maxpool")
    assert list(study.points[700]) == ["late"] and (700, "rgb") not in study.verdicts


def test_stress_takes_the_mean_over_severities(runs):
    study = evidence.stress(MATRIX, KNOWN, "late-maxpool")
    assert list(study.means) == ["clean", "rgb_dark", "lidar_missing"]
    assert study.means["rgb_dark"]["rgb-maxpool"]["accuracy"] == pytest.approx(0.5, abs=0.1)
    assert study.means["rgb_dark"]["late-maxpool"]["accuracy"] == 1.0
    assert study.verdicts["rgb_dark", "rgb-maxpool"].word == "worse"
    assert {cell for _, cell in study.verdicts} == {"rgb-maxpool"}  # not the other downsampling
    assert [severity for severity, _ in study.accuracy["rgb_dark"]["late-strided"]] == [0.5, 0.1]
    line = next(line for line in fusion_tables.stress(study).splitlines() if "rgb-maxpool" in line)
    assert line.count("*") >= 1


def test_blind_answers_on_uneven_classes():
    rows = fusion_tables.blind({"confusion": [[30, 0], [10, 0]]})
    majority, coin = ({title: value for title, value in row.items() if title.startswith("test")} for row in rows)
    # entropy of 3/4; F1 of the larger class 2 * 0.75 / 1.75, of the other 0
    assert majority == {"test loss": "0.5623", "test accuracy": "0.7500", "test F1": "0.4286", "test ECE": "0.0000"}
    assert coin["test accuracy"] == "0.5000" and coin["test F1"] == f"{(1.5 / 2.5 + 0.5 / 1.5) / 2:.4f}"


def test_one_seed_is_told():
    verdict = SimpleNamespace(word="not distinguishable", difference=SimpleNamespace(mean=0.1, half=None), p=None)
    assert fusion_tables.told(verdict) == "not distinguishable (+0.1000, one seed)"

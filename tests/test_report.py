"""Tables and the summary from literal metrics; pictures by looking at their pixels."""

import numpy as np
import pandas as pd
from PIL import Image

from pipeline.results import figures
from pipeline.results.report import ablation, comparison, numbers, summary, with_interval

CELL = {
    "val_loss": 0.02, "val_loss_ci95": 0.01, "loss": 0.03, "loss_ci95": 0.01, "accuracy": 0.99, "accuracy_ci95": 0.004,
    "f1": 0.99, "f1_ci95": 0.004, "chance": 0.5, "parameters": 914201, "seconds_per_epoch": 4.0,
    "peak_memory_mb": 800.0, "epochs": 4,
}  # fmt: skip
STRIDED = CELL | {"accuracy": 0.975, "seconds_per_epoch": 1.0}


def test_with_interval():
    assert with_interval(CELL, "accuracy") == "0.9900 ± 0.0040"
    assert with_interval(CELL | {"accuracy_ci95": None}, "accuracy") == "0.9900"


def test_comparison_shows_every_figure_beside_chance():
    table = comparison({"concat": CELL})
    assert table.count("\n") == 3
    for shown in ("concat", "0.9900 ± 0.0040", "0.500", "914,201", "4.00", "800.00"):
        assert f" {shown} " in table


def test_ablation_puts_the_difference_in_brackets():
    table = ablation({"concat": {"maxpool": CELL, "strided": STRIDED}}, base="maxpool")
    base, strided = table.splitlines()[2:]
    assert "(" not in base
    assert "0.9750 ± 0.0040 (-0.0150)" in strided and "1.00 (x0.25)" in strided and "914,201 (x1.00)" in strided


def test_numbers_are_the_metrics():
    table = numbers({"concat": CELL, "late": STRIDED})
    assert table.loc["late", "accuracy"] == 0.975 and list(table.index) == ["concat", "late"]


def test_summary_holds_every_cell_and_the_chain():
    cells = {
        "concat": {"maxpool": CELL, "strided": STRIDED},
        "late": {"maxpool": CELL | {"accuracy": 1.0}, "strided": STRIDED},
    }
    trained = {
        "lidar": {"accuracy": 0.97},
        "cilp": {"top1": 0.7, "top5": 0.9, "chance_top1": 0.0025, "chance_top5": 0.0125},
        "project": {"r2": 0.6},
        "classify/projector": {"zero_shot_accuracy": 0.8, "accuracy": 0.9},
        "classify/everything": {"zero_shot_accuracy": 0.8, "accuracy": 0.95},
    }
    headline = summary(cells, {"trained": trained}, chance=0.5)
    assert headline["accuracy"] == {
        "concat-maxpool": 0.99,
        "concat-strided": 0.975,
        "late-maxpool": 1.0,
        "late-strided": 0.975,
    }
    assert headline["zero_shot_accuracy"] == 0.8 and headline["chance_accuracy"] == 0.5
    assert headline["tuned_projector_accuracy"] == 0.9 and headline["tuned_everything_accuracy"] == 0.95


def test_pictures_are_drawn_and_repeat(tmp_path):
    history = pd.DataFrame({"epoch": [1, 2], "acc": [0.5, 0.9], "acc_seed0": [0.4, 0.9], "acc_seed1": [0.6, 0.9]})
    depth = np.full((2, 64, 64), 50.0)
    depth[:, 20:30, 20:30] = 24.0
    cilp = pd.DataFrame({"epoch": [1, 2], "val_top1": [0.1, 0.8], "val_course_loss": [3.1, 3.0]})
    cilp = cilp.assign(**{f"{name}_seed0": cilp[name] for name in ("val_top1", "val_course_loss")})
    levels = {"chance_top1": 0.01, "course_chance_loss": 3.466, "course_floor_loss": 2.97, "pass_loss": 3.5}
    net = pd.DataFrame({"labels": [10, 100], "accuracy": [0.6, 0.9], "half": [0.5, 0.05]})
    draw = {
        "pretraining": lambda path: figures.pretraining(cilp, levels, path),
        "labels": lambda path: figures.labels({"scratch": net, "probe": net}, 0.95, 0.5, path),
        "similarity": lambda path: figures.similarity(np.eye(4), path),
        "curves": lambda path: figures.curves({"maxpool": {"concat": history}}, "acc", "accuracy", path),
        "predictions": lambda path: figures.predictions(
            np.zeros((2, 64, 64, 4), np.uint8), depth, ["cube", "sphere"], ["cube", "cube"], [0.9, 0.6], path
        ),
    }
    for name, make in draw.items():
        make(tmp_path / f"{name}.png")
        make(tmp_path / f"{name}2.png")
        picture = np.asarray(Image.open(tmp_path / f"{name}.png").convert("RGB"))
        assert len(np.unique(picture.reshape(-1, 3), axis=0)) > 20
        assert (tmp_path / f"{name}.png").read_bytes() == (tmp_path / f"{name}2.png").read_bytes()

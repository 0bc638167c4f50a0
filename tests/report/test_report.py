"""The page, its samples and the summary from literal metrics."""

from string import Formatter

import numpy as np
import pytest

from pipeline.report.text import PAGE, closest, mistakes, page, summary, with_interval

CELL = {"accuracy": 0.99, "accuracy_ci95": 0.004}
LABEL = np.array([0, 0, 1, 1])


def test_with_interval():
    assert with_interval(CELL, "accuracy") == "0.9900 ± 0.0040"
    assert with_interval(CELL | {"accuracy_ci95": None}, "accuracy") == "0.9900"


def test_mistakes_are_the_surest_of_all_cells_one_a_pair():
    logits = {"a": np.array([1.0, -9.0, -2.0, 9.0]), "b": np.array([3.0, -9.0, 9.0, 9.0])}
    shown = mistakes(logits, LABEL, 8)
    assert [(sample.pair, sample.cell, sample.said) for sample in shown] == [(0, "b", 1), (2, "a", 0)]
    assert shown[0].sure == pytest.approx(1 / (1 + np.exp(-3.0)))
    assert mistakes(logits, LABEL, 1) == shown[:1]
    assert mistakes({"a": np.array([-1.0, -1, 1, 1])}, LABEL, 8) == []


def test_closest_are_right_with_the_least_confidence():
    shown = closest("a", np.array([-5.0, 0.1, 0.2, 0.5]), LABEL, 2)
    assert [(sample.pair, sample.said) for sample in shown] == [(2, 1), (3, 1)]  # pair 1 is wrong
    assert shown[0].sure == pytest.approx(1 / (1 + np.exp(-0.2)))


def test_summary_holds_every_cell_and_the_chain():
    trained = {
        "lidar": {"accuracy": 0.97},
        "cilp": {"top1": 0.7, "top5": 0.9, "chance_top1": 0.0025, "chance_top5": 0.0125},
        "project": {"r2": 0.6},
        "classify/projector": {"zero_shot_accuracy": 0.8, "accuracy": 0.9},
        "classify/everything": {"zero_shot_accuracy": 0.8, "accuracy": 0.95},
    }
    cells = {"concat-maxpool": CELL | {"val_loss": 0.2}, "late-strided": {"accuracy": 0.975, "val_loss": 0.1}}
    headline = summary(cells, {"trained": trained}, chance=0.5)
    assert headline["accuracy"] == {"concat-maxpool": 0.99, "late-strided": 0.975}
    leader = {"cell": "late-strided", "val_loss": 0.1, "val_loss_ci95": None, "accuracy": 0.975, "accuracy_ci95": None}
    assert headline["leader"] == leader  # by validation, though the other one does better on the test split
    assert headline["zero_shot_accuracy"] == 0.8 and headline["chance_accuracy"] == 0.5
    assert headline["tuned_projector_accuracy"] == 0.9 and headline["tuned_everything_accuracy"] == 0.95


def test_the_page_says_how_much_data_there_was():
    counts = {split: {"cubes": n, "spheres": n} for split, n in (("train", 700), ("val", 100), ("test", 200))}
    text = page({"pairs": 2000} | counts, {name: 0.5 for name in _names()}, seeds=3)
    assert "2000 pairs of RGB and LiDAR: 1400 to train on, 200 to choose the epoch by, 400 to report on" in text
    assert "one pair more or less is 0.0025" in text and "{" not in text


def test_the_data_come_first_with_their_pictures():
    counts = {split: {"cubes": 1, "spheres": 1} for split in ("train", "val", "test")}
    fill = {name: 0.5 for name in _names()} | {"data_table": "TABLE", "data_prose": "PROSE", "shortcut_table": "RULES"}
    head, first, *_ = page({"pairs": 6} | counts, fill | {"frames": 1000}, seeds=1).split("\n## ")
    assert first.startswith("Data\n") and "at most 1,000 evenly spaced frames" in first
    for piece in ("TABLE", "PROSE", "RULES", "(data.png)", "(contact.png)"):
        assert piece in first and piece not in head


def _names() -> set[str]:
    """What the page wants filled in besides the data."""
    known = {"seeds", "pairs", "pair", "train", "val", "test"}
    return {name for _, name, _, _ in Formatter().parse(PAGE) if name} - known

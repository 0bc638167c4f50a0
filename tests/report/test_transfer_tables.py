"""The chain's tables and the model cards from literal metrics."""

from pathlib import Path

from pipeline.report import model_card as cards
from pipeline.report.transfer.tables import assessment, label_curves, labels, steps

CILP = {
    "loss": 0.1, "chance_loss": 3.44, "floor_loss": 0.0, "course_loss": 3.05, "course_chance_loss": 3.44,
    "course_floor_loss": 2.94, "top1": 0.89, "top1_ci95": 0.01, "top5": 1.0, "mean_rank": 1.2, "top1_reverse": 0.88,
    "top5_reverse": 0.99, "mean_rank_reverse": 1.3, "chance_top1": 0.0025, "chance_top5": 0.0125,
    "chance_mean_rank": 200.5, "alignment": 0.08, "chance_alignment": 1.9, "uniformity_rgb": -2.9,
    "uniformity_lidar": -2.8,
}  # fmt: skip
PROJECT = {"loss": 0.25, "chance_loss": 1.66, "r2": 0.85, "cosine": 0.98, "chance_cosine": 0.8}
EVALUATED = {
    "trained": {
        "lidar": {"accuracy": 0.99},
        "cilp": CILP,
        "project": PROJECT,
        "classify/projector": {"zero_shot_accuracy": 0.95, "accuracy": 0.96},
        "classify/everything": {"zero_shot_accuracy": 0.95, "accuracy": 0.998},
    },
    "untrained": {
        "lidar": {"accuracy": 0.501},
        "cilp": CILP | {"top1": 0.003, "course_loss": 3.439},
        "project": PROJECT | {"r2": -1.5},
        "classify": {"zero_shot_accuracy": 0.5},
    },
    "assessment": {"untrained": {"loss": 3.439, "batches_above": [0, 1], "points": [5, 6], "passed": 0}},
}


def row(table: str, start: str) -> list[str]:
    return next([part.strip() for part in line.split("|")[1:-1]] for line in table.splitlines() if f"| {start}" in line)


def test_every_step_stands_beside_untrained_chance_and_best():
    table = steps(EVALUATED, chance=0.5)
    assert row(table, "CILP: top-1, RGB")[1:] == ["0.8900 ± 0.0100", "0.0030 ± 0.0100", "0.0025", "1"]
    assert row(table, "CILP: the course's loss")[1:] == ["3.0500", "3.4390", "3.4400", "2.9400"]
    assert row(table, "projector: R2")[1:] == ["0.8500", "-1.5000", "0", "1"]
    assert row(table, "RGB classifier, zero-shot")[1:] == ["0.9500", "0.5000", "0.5000", "1"]
    assert row(table, "RGB classifier, everything")[1:] == ["0.9980", "", "0.5000", "1"]


def test_the_assessment_lists_points_by_seed():
    assert row(assessment(EVALUATED), "untrained") == ["untrained", "3.439", "0, 1", "5, 6", "0 of 2"]


def test_labels_as_table_and_as_curves():
    figures = {"10": {"accuracy": 0.5, "accuracy_ci95": 0.1}, "1400": {"accuracy": 1.0, "accuracy_ci95": None}}
    metrics = {"chance": 0.5} | {name: figures for name in ("scratch", "probe", "projector", "everything")}
    assert row(labels(metrics), "1,400") == ["1,400", "1.000", "1.000", "1.000", "1.000", "0.500"]
    curve = label_curves(metrics)["from scratch"]
    assert curve.to_dict("list") == {"labels": [10, 1400], "accuracy": [0.5, 1.0], "half": [0.1, 0.0]}


DATA = {split: {"cubes": 100, "spheres": 100} for split in ("train", "val", "test")} | {
    "cubes": {"returns_min": 149, "returns_max": 490, "depth_min": 17.8, "depth_max": 32.0},
    "spheres": {"returns_min": 101, "returns_max": 231, "depth_min": 18.6, "depth_max": 30.4},
}
TOLD = {"parameters": 906201, "accuracy": 0.99, "accuracy_ci95": 0.01, "chance": 0.5}


def test_a_card_states_its_file_with_intervals_over_pairs_and_over_seeds():
    text = cards.card("LiDAR classifier", "LiDAR ranges", Path("runs/x.safetensors"), TOLD, [0.98, 1.0], DATA)
    # 196 of 200 by Wilson's formula: 0.9497 .. 0.9922
    for shown in ("`runs/x.safetensors`", "196 of 200 pairs, 0.9800; over test pairs 0.9497 to 0.9922", "906,201"):
        assert shown in text
    assert "mean of seeds (2) | 0.9900 ± 0.0100" in text and "200 pairs of the training split" in text
    lidar, chained = (
        cards.card("", "", Path("f"), TOLD | {"weights_sha256": "abc", "epochs": epochs}, [0.98], DATA)
        for epochs in (0, 4)
    )
    assert "LiDAR weights with SHA-256 abc, trained elsewhere" in lidar and "training split" not in lidar
    assert "SHA-256 abc" in chained and "training split" in chained


def test_limits_span_both_classes():
    assert "101 to 490 LiDAR returns a frame, 17.8 to 32.0 units away" in cards.limits(DATA)

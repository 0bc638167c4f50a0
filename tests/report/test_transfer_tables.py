"""The tables of the transfer chain from literal metrics."""

from pipeline.report.transfer.nets import FULL, NETS, PROJECTOR_ONLY
from pipeline.report.transfer.tables import assessment_table, chain_table, highest_train_loss, label_curves, label_table

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
        f"classify/{PROJECTOR_ONLY}": {"zero_shot_accuracy": 0.95, "accuracy": 0.96},
        f"classify/{FULL}": {"zero_shot_accuracy": 0.95, "accuracy": 0.998},
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
    table = chain_table(EVALUATED, chance=0.5)
    assert row(table, "CILP: top-1, RGB")[1:] == ["0.8900 ± 0.0100", "0.0030 ± 0.0100", "0.0025", "1"]
    assert row(table, "CILP: the course's loss")[1:] == ["3.0500", "3.4390", "3.4400", "2.9400"]
    assert row(table, "projector: R2")[1:] == ["0.8500", "-1.5000", "0", "1"]
    assert row(table, "RGB classifier, zero-shot")[1:] == ["0.9500", "0.5000", "0.5000", "1"]
    assert row(table, "RGB classifier, fully")[1:] == ["0.9980", "", "0.5000", "1"]


def test_the_assessment_lists_points_by_seed():
    assert row(assessment_table(EVALUATED), "untrained") == ["untrained", "3.439", "0, 1", "5, 6", "0 of 2"]


def test_labels_as_table_and_as_curves():
    figures = {"10": {"accuracy": 0.5, "accuracy_ci95": 0.1}, "1400": {"accuracy": 1.0, "accuracy_ci95": None}}
    metrics = {"chance": 0.5} | {name: figures for name in NETS}
    assert row(label_table(metrics), "1,400") == ["1,400", "1.000", "1.000", "1.000", "1.000", "0.500"]
    curve = label_curves(metrics)["from scratch"]
    assert curve.to_dict("list") == {"labels": [10, 1400], "accuracy": [0.5, 1.0], "ci_half_width": [0.1, 0.0]}


def test_a_net_that_never_learnt_would_be_noticed():
    metrics = {name: {"10": {"train_loss": 0.1}, "1400": {}} for name in NETS}
    metrics["probe"] = {"10": {"train_loss": 0.6}}
    assert highest_train_loss(metrics) == 0.6

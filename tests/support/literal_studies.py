"""Literal studies of two nets or more: an outcome, a p and a half-width are what varies."""

from pipeline.report.fusion.comparisons import Ablation, Comparison, Stress
from pipeline.report.significance import Difference, Verdict
from pipeline.report.transfer.nets import FULL, PROJECTOR_ONLY

LEVEL = "not distinguishable"


def cell(accuracy, half=0.01, **more):
    usual = {"val_loss": 0.3, "loss": 0.25, "f1": accuracy, "ece": 0.03, "chance": 0.5, "parameters": 2000, "epochs": 4}
    usual |= {"precision": "float32"}
    usual |= {"seconds_per_epoch": 2.0, "peak_memory_mb": 500.0, "confusion": [[60, 60], [0, 120]]}
    return usual | {"accuracy": accuracy, "accuracy_ci95": half} | more


def verdict(gap, outcome, p, width=0.015):
    return Verdict(Difference(gap, None if p is None else width, p), p, outcome)


def comparison(outcome="worse", p=0.0031, half=0.01, gap=-0.04, width=0.015):
    """Return a fusion that leads by validation loss, beside RGB alone."""
    cells = {
        "late-maxpool": cell(0.95, half, val_loss=0.111),
        "rgb-maxpool": cell(0.91, half, parameters=700, seconds_per_epoch=0.9),
    }
    return Comparison(cells, "late-maxpool", {"rgb-maxpool": verdict(gap, outcome, p, width)})


def ablation(outcome="worse", p=0.0031, half=0.01, gap=-0.02, width=0.015):
    """Return `strided` with 0.6 times the computing of a training, and `strided_extra` with 1.3 times."""
    cells = {
        "late-maxpool": cell(0.95, half),
        "late-strided": cell(0.93, half, seconds_per_epoch=0.8, epochs=6),
        "late-strided_extra": cell(0.96, half, seconds_per_epoch=2.6, parameters=2500),
    }
    verdicts = {"late-strided": verdict(gap, outcome, p, width), "late-strided_extra": verdict(0.01, LEVEL, p and 0.44)}
    return Ablation({"late": list(cells)}, cells, verdicts)


def stress(rgb_missing=0.9, lidar_missing=0.52, half=0.05, cells=("late-maxpool", "rgb-maxpool")):
    """Return every cell with an equal accuracy, clean 0.95."""
    values = {"clean": 0.95, "rgb_dark": 0.8, "rgb_missing": rgb_missing, "lidar_missing": lidar_missing}
    metrics = {fault: {"accuracy": value, "accuracy_ci95": half} for fault, value in values.items()}
    severity = {"rgb_dark": 0.5}
    accuracy = {fault: {name: [(severity.get(fault), metrics[fault])] for name in cells} for fault in values}
    means = {fault: dict.fromkeys(cells, metrics[fault]) for fault in values}
    by_seed = {fault: dict.fromkeys(cells, [value]) for fault, value in values.items()}
    return Stress(accuracy, means, by_seed, {}, cells[0], 200, 0.5)


def evaluated(top1=0.8, zero_shot=0.9, tuned=0.99, half=0.01, untrained_loss=3.439):
    cilp = {
        "course_loss": 3.05, "course_chance_loss": 3.44, "course_floor_loss": 2.94, "top1": top1, "top1_ci95": half,
        "top5": 0.93, "chance_top1": 0.0025, "chance_top5": 0.0125, "loss": 0.2, "chance_loss": 3.44, "floor_loss": 0.0,
    }  # fmt: skip
    marks = {"loss": 3.05, "batches_above": [3, 4], "points": [8, 9], "passed": 1}
    return {
        "precision": "float32",
        "trained": {
            "cilp": cilp,
            f"classify/{PROJECTOR_ONLY}": {
                "zero_shot_accuracy": zero_shot, "zero_shot_accuracy_ci95": half,
                "accuracy": 0.905, "accuracy_ci95": half,
            },
            f"classify/{FULL}": {"accuracy": tuned, "accuracy_ci95": half},
        },
        "untrained": {"cilp": cilp | {"top1": 0.003, "course_loss": untrained_loss}},
        "assessment": {"untrained": marks | {"points": [5, 5], "passed": 0}, FULL: marks},
    }  # fmt: skip


def labels(scratch=0.55, half=0.01, most=0.99, pretrained=(0.86, 0.88, 0.93)):
    """Return the accuracy with 10 labels as given, 0.955 with 100, `most` with all 1,400."""

    def net(few, many):
        accuracies = {"10": few, "100": 0.955, "1400": many}
        return {
            count: {"accuracy": value, "accuracy_ci95": half, "train_loss": 0.01} for count, value in accuracies.items()
        }

    names = ("probe", PROJECTOR_ONLY, FULL)
    nets = {name: net(few, 0.99) for name, few in zip(names, pretrained, strict=True)}
    return {"precision": "float32", "chance": 0.5, "scratch": net(scratch, most)} | nets

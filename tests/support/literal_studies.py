"""Literal evidence of two nets or more, for the written analyses: a verdict, a p and a half-width are what varies."""

import random

from pipeline.report.fusion.comparisons import Ablation, Comparison, Curve, Stress
from pipeline.report.significance import Difference, Verdict

EVEN = "not distinguishable"
FAULTS = ["lidar_noise", "lidar_range", "rgb_dark", "rgb_blur"]
SINGLES = ["rgb_missing", "lidar_missing", "other_scene", "other_shape"]
ALL = ["rgb", "lidar", "early", "late", "late_frozen", "concat", "add", "hadamard", "matmul", "gated", "attention"]


def cell(accuracy, half=0.01, **more):
    usual = {"val_loss": 0.3, "loss": 0.25, "ece": 0.03, "chance": 0.5, "parameters": 2000, "epochs": 4}
    usual |= {"seconds_per_epoch": 2.0, "peak_memory_mb": 500.0}
    return usual | {"accuracy": accuracy, "accuracy_ci95": half} | more


def verdict(gap, word, p):
    return Verdict(Difference(gap, None if p is None else 0.015, p), p, word)


def compared(word="worse", p=0.0031, half=0.01):
    cells = {
        "late-maxpool": cell(0.95, half, val_loss=0.111),
        "rgb-maxpool": cell(0.91, half, parameters=700, seconds_per_epoch=0.9, ece=0.08),
    }
    return Comparison(cells, "late-maxpool", {"rgb-maxpool": verdict(-0.04, word, p)})


def ablated(word="worse", p=0.0031, half=0.01):
    cells = {
        "late-maxpool": cell(0.95, half),
        "late-strided": cell(0.93, half, seconds_per_epoch=0.8, epochs=6, peak_memory_mb=350.0, loss=0.29),
        "late-strided_extra": cell(0.96, half, seconds_per_epoch=2.6, parameters=2500, peak_memory_mb=520.0),
    }
    told = {"late-strided": verdict(-0.02, word, p), "late-strided_extra": verdict(0.01, EVEN, p and 0.44)}
    return Ablation({"late": list(cells)}, cells, told)


def curved(word="worse", p=0.0031, half=0.01):
    def point(rgb, late, loss=None):
        trained = {} if loss is None else {"train_loss": loss}
        return {
            name: {"accuracy": each, "accuracy_ci95": half} | trained
            for name, each in {"rgb": rgb, "late": late}.items()
        }

    points = {25: point(0.64, 0.81, 0.01), 100: point(0.86, 0.9, 0.02), 700: point(0.97, 0.98)}
    told = {(25, "rgb"): verdict(-0.17, word, p), (100, "rgb"): verdict(-0.04, EVEN, p and 0.5)}
    return Curve(points, told | {(700, "rgb"): verdict(-0.01, EVEN, p and 0.9)}, "late", 0.5)


def stressed(word="better", p=0.0031, half=0.01, cells=("late-maxpool", "add-maxpool", "rgb-maxpool"), level=None):
    rng = random.Random(len(cells))
    accuracy, means, told = {}, {}, {}
    for fault in ["clean", *FAULTS, *SINGLES]:
        severities = [0.2, 0.8] if fault in FAULTS else [None]
        for place, name in enumerate(cells):
            values = [level or round(rng.uniform(0.55, 0.98) - place / 50, 3) for _ in severities]
            rows = [(s, {"accuracy": v, "accuracy_ci95": half}) for s, v in zip(severities, values, strict=True)]
            accuracy.setdefault(fault, {})[name] = rows
            means.setdefault(fault, {})[name] = {"accuracy": sum(values) / len(values), "accuracy_ci95": half}
            if place:
                told[fault, name] = verdict(0.03, word if fault in FAULTS else EVEN, p)
    return Stress(accuracy, means, told, cells[0], 200, 0.5)


def evaluated(top1=0.8, zero=0.9, tuned=0.99, half=0.01):
    cilp = {
        "course_loss": 3.05, "course_chance_loss": 3.44, "course_floor_loss": 2.94, "top1": top1, "top1_ci95": half,
        "top5": 0.93, "chance_top1": 0.0025, "chance_top5": 0.0125, "top1_reverse": 0.75, "mean_rank": 1.4,
        "chance_mean_rank": 200.5, "loss": 0.2, "chance_loss": 3.44, "floor_loss": 0.0,
    }  # fmt: skip
    marks = {"loss": 3.05, "batches_above": [3, 4], "points": [8, 9], "passed": 1}
    return {
        "trained": {
            "lidar": {"accuracy": 0.998, "accuracy_ci95": half},
            "cilp": cilp,
            "project": {"r2": 0.84, "r2_ci95": half},
            "classify/projector": {
                "zero_shot_accuracy": zero, "zero_shot_accuracy_ci95": half, "accuracy": 0.905, "accuracy_ci95": half
            },
            "classify/everything": {"accuracy": tuned, "accuracy_ci95": half},
        },
        "untrained": {"cilp": cilp | {"top1": 0.003, "top5": 0.014, "course_loss": 3.439}},
        "assessment": {"untrained": marks | {"points": [5, 5], "passed": 0}, "everything": marks},
    }  # fmt: skip


def sample_labelled(scratch=0.55, half=0.01, most=0.99, loss=0.01):
    def net(few, many):
        return {
            count: {"accuracy": value, "accuracy_ci95": half, "train_loss": loss}
            for count, value in (("10", few), ("100", 0.955), ("1400", many))
        }

    nets = {"projector": net(0.88, most), "probe": net(0.86, most), "everything": net(0.93, most)}
    return {"chance": 0.5, "scratch": net(scratch, most)} | nets

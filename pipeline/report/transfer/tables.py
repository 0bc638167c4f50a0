"""The tables of the transfer chain, in Markdown: each step beside untrained nets, chance and the best possible."""

from collections.abc import Mapping
from typing import Any

import pandas as pd

from pipeline.report.text import Metrics, markdown, with_interval
from pipeline.report.transfer.nets import CHAINS, FULL, NETS, PROJECTOR_ONLY

# step, part of the chain, its metric, chance, best possible: the name of a metric or a number
STEPS = (
    ("LiDAR classifier: accuracy", "lidar", "accuracy", "chance", 1),
    ("CILP: contrastive loss", "cilp", "loss", "chance_loss", "floor_loss"),
    ("CILP: the course's loss", "cilp", "course_loss", "course_chance_loss", "course_floor_loss"),
    ("CILP: top-1, RGB to LiDAR", "cilp", "top1", "chance_top1", 1),
    ("CILP: top-5, RGB to LiDAR", "cilp", "top5", "chance_top5", 1),
    ("CILP: mean rank, RGB to LiDAR", "cilp", "mean_rank", "chance_mean_rank", 1),
    ("CILP: top-1, LiDAR to RGB", "cilp", "top1_reverse", "chance_top1", 1),
    ("CILP: top-5, LiDAR to RGB", "cilp", "top5_reverse", "chance_top5", 1),
    ("CILP: mean rank, LiDAR to RGB", "cilp", "mean_rank_reverse", "chance_mean_rank", 1),
    ("CILP: alignment of true pairs", "cilp", "alignment", "chance_alignment", 0),
    ("CILP: uniformity, RGB", "cilp", "uniformity_rgb", None, None),
    ("CILP: uniformity, LiDAR", "cilp", "uniformity_lidar", None, None),
    ("projector: mean squared error", "project", "loss", "chance_loss", 0),
    ("projector: R2", "project", "r2", 0, 1),
    ("projector: cosine similarity", "project", "cosine", "chance_cosine", 1),
    ("RGB classifier, zero-shot: accuracy", "classify", "zero_shot_accuracy", "chance", 1),
    ("RGB classifier, projector tuned: accuracy", f"classify/{PROJECTOR_ONLY}", "accuracy", "chance", 1),
    ("RGB classifier, fully tuned: accuracy", f"classify/{FULL}", "accuracy", "chance", 1),
)


def chain_table(evaluated: Mapping[str, Any], chance: float) -> str:
    """Format each step from LiDAR classifier to RGB classifier; `chance` is the share of the majority class."""
    trained = evaluated["trained"] | {"classify": evaluated["trained"][f"classify/{PROJECTOR_ONLY}"]}
    rows = []
    for title, part, name, level, best in STEPS:
        metrics = trained[part] | {"chance": chance}
        untrained = evaluated["untrained"].get(part, {})
        rows.append(
            {
                "step": title,
                "test": with_interval(metrics, name),
                "untrained": with_interval(untrained, name) if name in untrained else "",
                "chance": _level(metrics, level),
                "best possible": _level(metrics, best),
            }
        )
    return markdown(rows)


def _level(metrics: Metrics, level: str | float | None) -> str:
    if level is None:
        return ""
    return f"{metrics[level]:.4f}" if isinstance(level, str) else str(level)


def assessment_table(evaluated: Mapping[str, Any]) -> str:
    """Format the course's marks, a row a chain."""
    rows = [
        {
            "chain": CHAINS[name],
            "loss": f"{marks['loss']:.3f}",
            "batches above the mark": ", ".join(map(str, marks["batches_above"])),
            "points": ", ".join(map(str, marks["points"])),
            "pass": f"{marks['passed']} of {len(marks['points'])}",
        }
        for name, marks in evaluated["assessment"].items()
    ]
    return markdown(rows)


def label_table(metrics: Mapping[str, Any]) -> str:
    """Format test accuracy, a row a number of labels, a column a net."""
    rows = [
        {"labels": f"{int(count):,}"}
        | {title: with_interval(metrics[name][count], "accuracy", 3) for name, title in NETS.items()}
        | {"chance": f"{metrics['chance']:.3f}"}
        for count in metrics["scratch"]
    ]
    return markdown(rows)


def label_curves(metrics: Mapping[str, Any]) -> dict[str, pd.DataFrame]:
    """Return the columns labels, accuracy and ci_half_width (0 where one seed gave it) of every net, for a figure."""

    def row(count: str, net: Metrics) -> dict[str, float]:
        half_width = net["accuracy_ci95"] or 0.0
        return {"labels": int(count), "accuracy": net["accuracy"], "ci_half_width": half_width}

    return {
        title: pd.DataFrame([row(count, net) for count, net in metrics[name].items()]) for name, title in NETS.items()
    }


def highest_train_loss(metrics: Mapping[str, Any]) -> float:
    """Return the highest mean training loss at the end of any training with few labels: a net that never learnt."""
    return max(net.get("train_loss", 0.0) for name in NETS for net in metrics[name].values())

"""The chain's tables, from metrics alone: every step beside what untrained nets, chance and perfection give."""

from collections.abc import Mapping
from typing import Any

import pandas as pd

from pipeline.report.text import Metrics, markdown, with_interval

NETS = {"scratch": "from scratch", "probe": "linear probe", "projector": "projector", "everything": "everything"}

# step, part of the chain, its figure, chance, best possible: a figure's name or a number
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
    ("RGB classifier, projector tuned: accuracy", "classify/projector", "accuracy", "chance", 1),
    ("RGB classifier, everything tuned: accuracy", "classify/everything", "accuracy", "chance", 1),
)


def steps(evaluated: Mapping[str, Any], chance: float) -> str:
    """Markdown: each step from LiDAR classifier to RGB classifier; `chance` is that of naming one class for all."""
    trained = evaluated["trained"] | {"classify": evaluated["trained"]["classify/projector"]}
    rows = []
    for title, part, name, level, best in STEPS:
        figures = trained[part] | {"chance": chance}
        before = evaluated["untrained"].get(part, {})
        rows.append(
            {
                "step": title,
                "test": with_interval(figures, name),
                "untrained": with_interval(before, name) if name in before else "",
                "chance": _number(figures, level),
                "best possible": _number(figures, best),
            }
        )
    return markdown(rows)


def assessment(evaluated: Mapping[str, Any]) -> str:
    """Markdown: the course's marks, a row a chain."""
    rows = [
        {
            "chain": name,
            "loss": f"{marks['loss']:.3f}",
            "batches above the mark": ", ".join(map(str, marks["batches_above"])),
            "points": ", ".join(map(str, marks["points"])),
            "pass": f"{marks['passed']} of {len(marks['points'])}",
        }
        for name, marks in evaluated["assessment"].items()
    ]
    return markdown(rows)


def labels(metrics: Mapping[str, Any]) -> str:
    """Markdown: accuracy, a row a number of labels, a column a net."""
    counts = list(metrics["scratch"])
    return markdown(
        [
            {"labels": f"{int(count):,}"}
            | {title: with_interval(metrics[name][count], "accuracy", 3) for name, title in NETS.items()}
            | {"chance": f"{metrics['chance']:.3f}"}
            for count in counts
        ]
    )


def worst_train_loss(metrics: Mapping[str, Any]) -> float:
    """The highest mean training loss at the end of any training: a net that never learnt would show here."""
    return max(figures.get("train_loss", 0.0) for name in NETS for figures in metrics[name].values())


def label_curves(metrics: Mapping[str, Any]) -> dict[str, pd.DataFrame]:
    """The same for a picture: net -> labels, accuracy and the half-width of its interval (0 where one seed gave it)."""

    def row(count: str, figures: Metrics) -> dict[str, float]:
        return {"labels": int(count), "accuracy": figures["accuracy"], "half": figures["accuracy_ci95"] or 0.0}

    return {
        title: pd.DataFrame([row(count, figures) for count, figures in metrics[name].items()])
        for name, title in NETS.items()
    }


def _number(figures: Metrics, level: str | float | None) -> str:
    if level is None:
        return ""
    return f"{figures[level]:.4f}" if isinstance(level, str) else str(level)

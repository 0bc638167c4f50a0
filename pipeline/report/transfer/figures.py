"""Figures of the transfer chain: values in, PNG file out."""

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from pipeline.report.style import COLORS, REFERENCE, save

LEVELS = {  # level of the course's loss -> its name and line style
    "pass_loss": ("pass", "--"),
    "course_chance_loss": ("chance", ":"),
    "course_floor_loss": ("floor", "-."),
}


def plot_similarity(matrix: np.ndarray, path: Path) -> None:
    """Plot (P, P) cosine similarities, row = RGB, column = LiDAR; the diagonal holds the true pairs."""
    figure = Figure(figsize=(4.8, 4.2), layout="constrained")
    axes = figure.subplots()
    image = axes.imshow(np.asarray(matrix), cmap="RdBu_r", vmin=-1, vmax=1)
    axes.set(title="Cosine similarity of test pairs", xlabel="LiDAR of pair", ylabel="RGB of pair")
    figure.colorbar(image, ax=axes, shrink=0.85)
    save(figure, path)


def plot_pretraining(history: pd.DataFrame, levels: Mapping[str, float], path: Path) -> None:
    """Plot CILP by epoch on the validation split: retrieval beside the course's loss, both with their levels.

    `levels` holds chance_top1 and the keys of LEVELS.
    """
    figure = Figure(figsize=(8.4, 3.4), layout="constrained")
    left, right = figure.subplots(1, 2)
    for axes, measure, label in ((left, "val_top1", "retrieval top-1"), (right, "val_course_loss", "loss")):
        seeds = history.filter(regex=rf"^{measure}_seed").to_numpy()
        axes.plot(history["epoch"], history[measure], color=COLORS[0], marker="o", markersize=3)
        axes.fill_between(history["epoch"], seeds.min(axis=1), seeds.max(axis=1), color=COLORS[0], alpha=0.18, lw=0)
        axes.xaxis.get_major_locator().set_params(integer=True)
        axes.set(xlabel="epoch", ylabel=label)
    left.set(ylim=(0, 1), title="Which LiDAR belongs to this RGB?")
    left.axhline(levels["chance_top1"], color=REFERENCE, ls=":", label="chance")
    right.set(title="The course's loss")
    for level, (name, style) in LEVELS.items():
        right.axhline(levels[level], color=REFERENCE, ls=style, label=f"{name} {levels[level]:.2f}")
    for axes in (left, right):
        axes.legend(frameon=False, loc="center right")
    save(figure, path)


def plot_labels(nets: Mapping[str, pd.DataFrame], zero_shot: float, chance: float, path: Path) -> None:
    """Plot test accuracy by number of labels; each table has the columns labels, accuracy and ci_half_width."""
    figure = Figure(figsize=(8.4, 3.8), layout="constrained")
    axes = figure.subplots()
    for place, (color, (name, table)) in enumerate(zip(COLORS, nets.items(), strict=False)):
        shifted = table["labels"] * (1 + 0.03 * (place - (len(nets) - 1) / 2))  # error bars beside each other
        low = table["ci_half_width"].clip(upper=table["accuracy"])
        high = table["ci_half_width"].clip(upper=1 - table["accuracy"])
        axes.errorbar(shifted, table["accuracy"], [low, high], color=color, label=name, marker="o", ms=3, capsize=2)
    axes.axhline(zero_shot, color=REFERENCE, ls="--", label="zero-shot, no RGB label")
    axes.axhline(chance, color=REFERENCE, ls=":", label="chance")
    counts = sorted({int(count) for table in nets.values() for count in table["labels"]})
    axes.set(xscale="log", ylim=(0.4, 1.02), xlabel="labelled pairs", ylabel="test accuracy")
    axes.set_xticks(counts, [f"{count:,}" for count in counts], minor=False)
    axes.minorticks_off()
    axes.legend(frameon=False, loc="center left", bbox_to_anchor=(1.02, 0.5))
    save(figure, path)

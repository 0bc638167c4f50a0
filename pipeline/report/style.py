"""Every picture: data in, PNG file out. Colours and sizes are set once, here."""

from collections.abc import Mapping
from pathlib import Path

import matplotlib
import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from pipeline.core.files import atomic
from pipeline.core.sensors import NO_RETURN
from pipeline.render.images import to_camera_view

matplotlib.rcParams.update({"font.size": 9, "axes.spines.top": False, "axes.spines.right": False})
COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9")  # Okabe and Ito: told apart by all eyes


def save(figure: Figure, path: Path) -> None:
    """Atomically, and the same figure as the same bytes."""
    with atomic(path) as part:
        figure.savefig(part, dpi=130, format="png", metadata={"Software": None})


def similarity(matrix: np.ndarray, path: Path) -> None:
    """(P, P) cosine similarities, row = RGB, column = LiDAR; the diagonal holds the true pairs."""
    figure = Figure(figsize=(4.8, 4.2), layout="constrained")
    axes = figure.subplots()
    image = axes.imshow(np.asarray(matrix), cmap="RdBu_r", vmin=-1, vmax=1)
    axes.set(title="Cosine similarity of test pairs", xlabel="LiDAR of pair", ylabel="RGB of pair")
    figure.colorbar(image, ax=axes, shrink=0.85)
    save(figure, path)


def pretraining(history: pd.DataFrame, levels: Mapping[str, float], path: Path) -> None:
    """CILP by epoch on the validation split: retrieval beside the course's loss, both with the levels that matter.

    `levels`: chance_top1, course_chance_loss, course_floor_loss and pass_loss, the course's mark.
    """
    figure = Figure(figsize=(8.4, 3.4), layout="constrained")
    left, right = figure.subplots(1, 2)
    for axes, measure, label in ((left, "val_top1", "retrieval top-1"), (right, "val_course_loss", "loss")):
        seeds = history.filter(regex=rf"^{measure}_seed").to_numpy()
        axes.plot(history["epoch"], history[measure], color=COLOURS[0], marker="o", markersize=3)
        axes.fill_between(history["epoch"], seeds.min(axis=1), seeds.max(axis=1), color=COLOURS[0], alpha=0.18, lw=0)
        axes.xaxis.get_major_locator().set_params(integer=True)
        axes.set(xlabel="epoch", ylabel=label)
    left.set(ylim=(0, 1), title="Which LiDAR belongs to this RGB?")
    left.axhline(levels["chance_top1"], color="grey", ls=":", label="chance")
    right.set(title="The course's loss")
    for level, style in {"pass_loss": "--", "course_chance_loss": ":", "course_floor_loss": "-."}.items():
        name = level.removeprefix("course_").removesuffix("_loss")
        right.axhline(levels[level], color="grey", ls=style, label=f"{name} {levels[level]:.2f}")
    for axes in (left, right):
        axes.legend(frameon=False, loc="center right")
    save(figure, path)


def labels(nets: Mapping[str, pd.DataFrame], zero_shot: float, chance: float, path: Path) -> None:
    """Test accuracy by number of labels; each table has the columns labels, accuracy and half, of the 95% interval."""
    figure = Figure(figsize=(8.4, 3.8), layout="constrained")
    axes = figure.subplots()
    for place, (colour, (name, table)) in enumerate(zip(COLOURS, nets.items(), strict=False)):
        shifted = table["labels"] * (1 + 0.03 * (place - (len(nets) - 1) / 2))  # error bars beside each other
        low = table["half"].clip(upper=table["accuracy"])
        high = table["half"].clip(upper=1 - table["accuracy"])
        axes.errorbar(shifted, table["accuracy"], [low, high], color=colour, label=name, marker="o", ms=3, capsize=2)
    axes.axhline(zero_shot, color="grey", ls="--", label="zero-shot, no RGB label")
    axes.axhline(chance, color="grey", ls=":", label="chance")
    counts = sorted({int(count) for table in nets.values() for count in table["labels"]})
    axes.set(xscale="log", ylim=(0.4, 1.02), xlabel="labelled pairs", ylabel="test accuracy")
    axes.set_xticks(counts, [f"{count:,}" for count in counts], minor=False)
    axes.minorticks_off()
    axes.legend(frameon=False, loc="center left", bbox_to_anchor=(1.02, 0.5))
    save(figure, path)


def view(frame: np.ndarray) -> np.ndarray:
    """(H, W) depth as a picture of the view that RGB has, empty where nothing came back: colours span the object."""
    return to_camera_view(np.where(frame < NO_RETURN, frame, np.nan))

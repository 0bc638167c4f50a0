"""Figures of the fusion study: values in, PNG file out."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from pipeline.report.cells import Metrics, fusion_name
from pipeline.report.fusion.comparisons import Comparison, Curve, Stress
from pipeline.report.style import (
    DEPTH_COLORS,
    ERROR,
    REFERENCE,
    LineStyle,
    depth_view,
    error_bars,
    line_styles,
    save,
    shared_legend,
)


def plot_histories(panels: Mapping[str, Mapping[str, pd.DataFrame]], measure: str, label: str, path: Path) -> None:
    """Plot a panel a downsampling, a line a fusion: the mean over seeds by epoch, shaded from worst to best seed."""
    styles = line_styles(list(dict.fromkeys(name for nets in panels.values() for name in nets)))
    figure = Figure(figsize=(3.4 * len(panels) + 1.6, 3.6), layout="constrained")
    grid = figure.subplots(1, len(panels), squeeze=False, sharey=True)[0]
    for axes, (title, nets) in zip(grid, panels.items(), strict=True):
        for name, history in nets.items():
            seeds = history.filter(regex=rf"^{measure}_seed").to_numpy()
            axes.plot(history["epoch"], history[measure], label=name, markersize=3, **styles[name])
            shade = styles[name]["color"]
            axes.fill_between(history["epoch"], seeds.min(axis=1), seeds.max(axis=1), color=shade, alpha=0.12, lw=0)
        axes.locator_params("x", integer=True)
        axes.set(title=title, xlabel="epoch")
    grid[0].set_ylabel(label)
    shared_legend(figure, grid)
    save(figure, path)


def plot_costs(study: Comparison, path: Path) -> None:
    """Plot test accuracy against parameters and against seconds of an epoch, with the intervals over seeds.

    Cells without measured seconds stand in the first panel alone.
    """
    figure = Figure(figsize=(9.2, 3.8), layout="constrained")
    grid = figure.subplots(1, 2, sharey=True)
    for name, style in line_styles(list(study.cells)).items():
        cell = study.cells[name]
        low, high = error_bars(cell)
        for axes, cost in zip(grid, ("parameters", "seconds_per_epoch"), strict=True):
            if cell[cost] is None:
                continue
            bars = [[low], [high]]
            axes.errorbar(cell[cost], cell["accuracy"], bars, label=fusion_name(name), capsize=2, **style | {"ls": ""})
    grid[0].set(xlabel="parameters", ylabel="test accuracy")
    grid[0].xaxis.set_major_formatter(lambda value, _: f"{value / 1e6:g} M")
    unmeasured = any(cell["seconds_per_epoch"] is None for cell in study.cells.values())
    grid[1].set(xlabel="seconds of computing an epoch" + (", where measured" if unmeasured else ""))
    shared_legend(figure, grid)
    save(figure, path)


def plot_confusion(cells: Mapping[str, Metrics], class_names: Sequence[str], path: Path) -> None:
    """Plot a square a cell: row = true class, column = predicted class, counts of all seeds; shade = share of row."""
    across = min(6, len(cells))
    down = -(-len(cells) // across)
    figure = Figure(figsize=(1.75 * across, 2.0 * down), layout="constrained")
    grid = figure.subplots(down, across, squeeze=False)
    for axes in grid.flat[len(cells) :]:
        axes.set_axis_off()
    for place, (axes, (name, cell)) in enumerate(zip(grid.flat, cells.items(), strict=False)):
        counts = np.array(cell["confusion"])
        share = counts / counts.sum(axis=1, keepdims=True).clip(min=1)
        axes.imshow(share, cmap="Blues", vmin=0, vmax=1)
        for row, column in np.ndindex(2, 2):
            ink = "white" if share[row, column] > 0.6 else "black"
            axes.text(column, row, f"{counts[row, column]:,}", ha="center", va="center", color=ink)
        axes.set_title(name.replace("-", "\n", 1), fontsize=8)
        axes.set(xticks=[0, 1], yticks=[0, 1])
        axes.set_xticklabels(class_names, fontsize=7)
        axes.set_yticklabels(class_names if place % across == 0 else ["", ""], fontsize=7, rotation=90, va="center")
    save(figure, path)


def plot_learning_curve(study: Curve, path: Path) -> None:
    """Plot test accuracy by number of training scenes, a line a fusion, bars for the intervals over seeds."""
    fusions = list(dict.fromkeys(fusion for point in study.points.values() for fusion in point))
    figure = Figure(figsize=(8.4, 4.2), layout="constrained")
    axes = figure.subplots()
    for place, (fusion, style) in enumerate(line_styles(fusions).items()):
        cells = {scenes: point[fusion] for scenes, point in study.points.items() if fusion in point}
        shift = 1 + 0.018 * (place - (len(fusions) - 1) / 2)  # bars beside each other
        bars = np.array([error_bars(cell) for cell in cells.values()]).T
        heights = [cell["accuracy"] for cell in cells.values()]
        axes.errorbar(
            [scenes * shift for scenes in cells], heights, bars, label=fusion, ms=4, lw=1.2, elinewidth=0.6, **style
        )
    axes.axhline(study.chance, color=REFERENCE, ls=":", label="chance")
    axes.set(xscale="log", ylim=(0.3, 1.03), ylabel="test accuracy")
    axes.set_xlabel("training scenes (a cube and a sphere each)")
    axes.set_xticks(list(study.points), [f"{scenes:,}" for scenes in study.points])
    axes.minorticks_off()
    shared_legend(figure, [axes])
    save(figure, path)


def plot_stress(study: Stress, cells: Sequence[str], path: Path) -> None:
    """Plot test accuracy by severity, a panel a fault; the last panel has the faults without a severity."""
    graded = {fault: rows for fault, rows in study.accuracy.items() if next(iter(rows.values()))[0][0] is not None}
    single = [fault for fault in study.accuracy if fault not in graded and fault != "clean"]
    figure = Figure(figsize=(11, 8.4), layout="constrained")
    grid = figure.subplots(3, 4, sharey=True, gridspec_kw={"height_ratios": [1, 1, 1.1]})
    styles = line_styles(cells)
    for axes, (fault, rows) in zip(grid[:2].flat, graded.items(), strict=False):
        ticks = ["clean", *(f"{severity:g}" for severity, _ in next(iter(rows.values())))]
        for name in cells:
            heights = [study.accuracy["clean"][name][0][1]["accuracy"], *(each["accuracy"] for _, each in rows[name])]
            axes.plot(range(len(heights)), heights, markersize=3, lw=1, label=fusion_name(name), **styles[name])
        axes.set_xticks(range(len(ticks)), ticks, fontsize=7)
        axes.set_title(fault.replace("_", " "))
    for axes in grid[:2].flat:
        axes.axhline(study.chance, color=REFERENCE, ls=":")
    for axes in grid[:2, 0]:
        axes.set_ylabel("test accuracy")
    bottom = figure.add_subplot(grid[2, 0].get_gridspec()[2, :])
    for axes in grid[2]:
        axes.remove()
    _plot_ungraded(bottom, study, single, styles)
    shared_legend(figure, [grid[0, 0]])
    save(figure, path)


def _plot_ungraded(axes: Axes, study: Stress, faults: Sequence[str], styles: Mapping[str, LineStyle]) -> None:
    """Plot the faults without a severity (a sensor missing or of another scene): a group of bars a fault."""
    width = 0.8 / len(styles)
    for place, (name, style) in enumerate(styles.items()):
        heights = [study.accuracy[fault][name][0][1]["accuracy"] for fault in faults]
        middles = np.arange(len(faults)) + (place - (len(styles) - 1) / 2) * width
        hatch = "" if style["ls"] == "-" else "///"
        axes.bar(middles, heights, width * 0.9, color=style["color"], hatch=hatch, edgecolor="white", lw=0.3)
    axes.axhline(study.chance, color=REFERENCE, ls=":")
    axes.set_xticks(range(len(faults)), [fault.replace("_", " ") for fault in faults])
    axes.set(ylabel="test accuracy", ylim=(0, 1.02))


def plot_samples(
    rgb: np.ndarray, depth: np.ndarray, titles: Sequence[str], correct: Sequence[bool], path: Path
) -> None:
    """Plot a grid of pairs, eight a row: (P, H, W, 4) uint8 RGB above (P, H, W) depth; titles of errors in red."""
    across = min(8, len(rgb))
    down = -(-len(rgb) // across)
    figure = Figure(figsize=(1.45 * across, 3.5 * down), layout="constrained")
    grid = figure.subplots(2 * down, across, squeeze=False)
    for axes in grid.flat:
        axes.set(xticks=[], yticks=[])
    for place, title in enumerate(titles):
        row, column = divmod(place, across)
        above, below = grid[2 * row, column], grid[2 * row + 1, column]
        above.imshow(rgb[place])
        below.imshow(depth_view(depth[place]), cmap=DEPTH_COLORS)
        below.set_facecolor("black")
        above.set_title(title, fontsize=8, color="black" if correct[place] else ERROR)
    for axes in grid.flat:
        axes.set_visible(bool(axes.images))
    grid[0, 0].set_ylabel("RGB")
    grid[1, 0].set_ylabel("LiDAR depth")
    save(figure, path)

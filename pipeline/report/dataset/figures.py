"""Figures of the data: values in, PNG file out."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MultipleLocator
from mpl_toolkits.mplot3d import Axes3D

from pipeline.core.sensors import CLASS_NAMES, CLASSES, NO_RETURN
from pipeline.data.splits import SPLITS
from pipeline.report.style import COLORS, DEPTH_COLORS, depth_view, save
from pipeline.report.text import counted

CLASS_COLORS = dict(zip(CLASSES, COLORS, strict=False))
MAX_FRAMES = 1000  # frames of a class whose ranges are drawn: 16 MB, however large the data set
BINS = 40
UNIT = "Omniverse units"


def return_ranges(frames: pd.DataFrame, depth: np.ndarray) -> dict[str, np.ndarray]:
    """Return the ranges of the returns by class, of at most MAX_FRAMES evenly spaced frames of (N, H, W) depth."""
    ranges = {}
    for name in CLASSES:
        rows = np.flatnonzero(frames["class"] == name)
        values = depth[rows[evenly_spaced(len(rows), MAX_FRAMES)]]
        ranges[name] = values[values < NO_RETURN]
    return ranges


def evenly_spaced(size: int, count: int) -> np.ndarray:
    """Return at most `count` of the indices 0 .. size - 1, evenly spaced, with both ends if there are two or more."""
    return np.unique(np.linspace(0, size - 1, min(size, count)).round().astype(int))


def plot_overview(data: Mapping[str, Any], frames: pd.DataFrame, hits: Mapping[str, np.ndarray], path: Path) -> None:
    """Plot six panels: pairs by split, files by sensor, and by class the ranges of returns and the frame statistics.

    `data` are the metrics of prepare, `frames` has the columns of frames.tsv, `hits` are ranges by class.
    """
    figure = Figure(figsize=(9.6, 5.8), layout="constrained")
    grid = figure.subplots(2, 3)
    _bars(grid[0, 0], {name: [data[split][name] for split in SPLITS] for name in CLASSES}, SPLITS)
    grid[0, 0].set(title="Pairs by split", ylabel="pairs")
    _bars(
        grid[0, 1],
        {name: list(file_counts(data, name).values()) for name in CLASSES},
        list(file_counts(data, CLASSES[0])),
    )
    grid[0, 1].set(title="From files to pairs", ylabel="files or pairs")
    _histogram(grid[0, 2], hits)
    grid[0, 2].set(title="LiDAR ranges of returns", xlabel=f"range, {UNIT}", ylabel="share of returns")
    _histogram(grid[1, 0], _by_class(frames["returns"], frames))
    grid[1, 0].set(title="LiDAR returns", xlabel="returns of a frame", ylabel="share of frames")
    _histogram(grid[1, 1], _by_class(frames["lit"], frames))
    grid[1, 1].set(
        title="Lit pixels of the RGB", xlabel="pixels of a frame that are not black", ylabel="share of frames"
    )
    lit = frames[frames["lit"] > 0]
    _histogram(grid[1, 2], _by_class(lit["brightness"], lit))
    grid[1, 2].set(title="Brightness of the RGB", xlabel="mean of lit pixels, 0 to 255", ylabel="share of frames")
    figure.legend(*grid[0, 0].get_legend_handles_labels(), loc="outside lower center", ncols=2, frameon=False)
    save(figure, path)


def file_counts(data: Mapping[str, Any], name: str) -> dict[str, int]:
    """Count the files of a class, the pairs they make, and the pairs in the splits."""
    files, used = data[name], sum(data[split][name] for split in SPLITS)
    return {"rgb": files["rgb_files"], "lidar": files["lidar_files"], "paired": files["pairs_found"], "used": used}


def _bars(axes: Axes, heights: Mapping[str, Sequence[int]], groups: Sequence[str]) -> None:
    """Plot a group of bars for each name in `groups`: a bar a class, with its number on top."""
    long = max(map(max, heights.values())) >= 1000  # side by side such numbers would touch
    for place, (name, values) in enumerate(heights.items()):
        shift = 0.4 * (place - (len(heights) - 1) / 2)
        bars = axes.bar(np.arange(len(groups)) + shift, values, 0.38, color=CLASS_COLORS[name], label=name)
        axes.bar_label(bars, [f"{value:,}" for value in values], fontsize=7, padding=2, rotation=90 if long else 0)
    axes.set_xticks(range(len(groups)), groups)
    axes.yaxis.set_major_formatter("{x:,.0f}")
    axes.locator_params("y", integer=True)
    axes.margins(y=0.25 if long else 0.1)


def _by_class(values: pd.Series, frames: pd.DataFrame) -> dict[str, np.ndarray]:
    return {name: values[frames["class"] == name].to_numpy() for name in CLASSES}


def _histogram(axes: Axes, classes: Mapping[str, np.ndarray]) -> None:
    """Plot shares of each class, so that classes of different sizes can be laid over each other."""
    pooled = np.concatenate([*classes.values()])
    if not pooled.size:
        axes.text(0.5, 0.5, "none", transform=axes.transAxes, ha="center")
        return
    edges = np.histogram_bin_edges(pooled, BINS)
    if np.issubdtype(pooled.dtype, np.integer):  # bins of whole numbers, or some would hold more of them
        step = -(-(np.ptp(pooled) + 1) // BINS)
        edges = np.arange(pooled.min(), pooled.max() + step + 1, step) - 0.5
    bins = edges.tolist()
    for name, values in classes.items():
        if values.size:
            shares = np.full(values.size, 1 / values.size)
            axes.hist(values, bins, weights=shares, color=CLASS_COLORS[name], alpha=0.2)
            axes.hist(values, bins, weights=shares, color=CLASS_COLORS[name], histtype="step", lw=1.2)


class Scene(NamedTuple):
    """A row of the contact sheet: the frames of one scene, in the order of CLASSES."""

    number: int
    rgb: np.ndarray  # (2, H, W, 4) uint8
    depth: np.ndarray  # (2, H, W) float32
    points: list[np.ndarray]  # of each class (3, P): x, y and z of its returns


def select_scenes(frames: pd.DataFrame, count: int = 4) -> pd.DataFrame:
    """Return row numbers by scene and class: at most `count` scenes of the training split, evenly spaced by number."""
    train = frames[frames["split"] == "train"]
    rows = train.pivot(index="scene", columns="class", values="row")[list(CLASSES)]
    return rows.iloc[evenly_spaced(len(rows), count)]


def read_scene(
    number: int, rows: Sequence[int], rgb: np.ndarray, depth: np.ndarray, angles: tuple[np.ndarray, np.ndarray]
) -> Scene:
    """Read the frames of a scene from the arrays of all pairs; `angles` are azimuth (H,) and zenith (W,)."""
    import torch  # slow, and nothing else of the report computes with it

    from pipeline.data.geometry import ray_directions, xyza

    ranges = np.array(depth[list(rows)])
    rays = ray_directions(*map(torch.from_numpy, map(np.array, angles)))
    points = xyza(torch.from_numpy(ranges), rays).numpy()  # (2, 4, H, W)
    return Scene(number, np.array(rgb[list(rows)]), ranges, [each[:3, each[3] > 0] for each in points])


def plot_contact_sheet(scenes: Sequence[Scene], path: Path) -> None:
    """Plot a row a scene, with its cube and its sphere: RGB, depth in the camera's view, and the returns in space."""
    height = 1.75 * len(scenes) + 0.75  # inches
    figure = Figure(figsize=(9.6, height))
    grid = figure.add_gridspec(
        len(scenes),
        2 * 3,
        width_ratios=[1, 1, 1.45] * 2,
        left=0.03,
        right=0.96,
        top=1 - 0.4 / height,
        bottom=0.5 / height,
        wspace=0.1,
        hspace=0.2,
    )
    for row, each in enumerate(scenes):
        limits = _limits(np.concatenate(each.points, axis=1))
        for label, name in enumerate(CLASS_NAMES):
            picture, lidar = (
                figure.add_subplot(grid[row, 3 * label + place], xticks=[], yticks=[]) for place in (0, 1)
            )
            picture.imshow(each.rgb[label, ..., :3])  # what stands behind would shine through alpha
            _plot_depth(lidar, each.depth[label])
            space = figure.add_subplot(grid[row, 3 * label + 2], projection="3d", computed_zorder=False)
            _plot_points(space, each.points[label], limits)
            if label == 0:
                picture.set_ylabel(f"scene {each.number:04d}", fontsize=8)
            for axes, title in ((picture, f"{name}: RGB"), (lidar, "LiDAR depth"), (space, "returns in space")):
                axes.set_anchor("N")  # titles and tops in one line
                axes.set_title(title if row == 0 else "")
                axes.title.set_y(1)  # axes in space put theirs lower
    caption = f"x to the right, y forward, z up, ranges: {UNIT}. The nearer, the brighter."
    figure.text(0.5, 0.1 / height, caption, ha="center", fontsize=8)
    save(figure, path)


def _plot_depth(axes: Axes, frame: np.ndarray) -> None:
    """Plot a frame in the camera's view, with the number of returns and their ranges below."""
    hits = frame[frame < NO_RETURN]
    axes.imshow(depth_view(frame), cmap=DEPTH_COLORS)
    axes.set_facecolor("black")
    label = f"{counted(hits.size, 'return')},\n{hits.min():.1f} to {hits.max():.1f} away" if hits.size else "no return"
    axes.set_xlabel(label, fontsize=7.5, labelpad=3)


def _limits(points: np.ndarray) -> np.ndarray:
    """Return (3, 2) ends of a box of equal edges around (3, P) points; the cube and the sphere of a scene share it."""
    if not points.size:
        return np.array([[-1.0, 1.0]] * 3)
    low, high = points.min(axis=1), points.max(axis=1)
    half = max((high - low).max() / 2, 0.5)  # of a single return too
    return (low + high)[:, None] / 2 + [-half, half]


def _plot_points(axes: Axes3D, points: np.ndarray, limits: np.ndarray) -> None:
    """Plot points from behind the sensor, from the right and above."""
    axes.scatter(*points, c=np.linalg.norm(points, axis=0), cmap=DEPTH_COLORS, s=1.5, depthshade=False)
    axes.view_init(elev=22, azim=-60)
    axes.set_box_aspect((1, 1, 1), zoom=1.1)
    for axis, name, ends in zip((axes.xaxis, axes.yaxis, axes.zaxis), "xyz", limits, strict=True):
        getattr(axes, f"set_{name}lim")(*ends)
        axis.set_major_locator(MultipleLocator(np.ceil(np.ptp(ends) / 3)))
        axis.set_label_text(name, fontsize=8)
        axis.labelpad = -10 if name == "z" else -8  # what stands beside would hide it
    axes.tick_params(labelsize=7, pad=-3)

"""The look of all figures: colours, markers, sizes, and how they are saved."""

from collections.abc import Mapping, Sequence
from itertools import cycle
from pathlib import Path
from typing import Any, TypedDict

import matplotlib
import numpy as np
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from pipeline.core.files import atomic
from pipeline.core.sensors import NO_RETURN
from pipeline.render.images import to_camera_view

matplotlib.rcParams.update({"font.size": 9, "axes.spines.top": False, "axes.spines.right": False})
COLORS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9")  # Okabe and Ito: safe for colour blindness
MARKERS = "os^Dv"  # colours come round again with another marker
DEPTH_COLORS = "viridis_r"  # nearer is brighter
REFERENCE = "grey"  # chance levels and marks
ERROR = "#b00020"


class LineStyle(TypedDict):
    """Arguments of matplotlib's `plot` and `errorbar`."""

    color: str
    marker: str
    ls: str  # "-" | "--"


def save(figure: Figure, path: Path) -> None:
    """Save a figure as PNG, atomically; equal figures give equal bytes."""
    with atomic(path) as part:
        figure.savefig(part, dpi=130, format="png", metadata={"Software": None})


def line_styles(names: Sequence[str]) -> dict[str, LineStyle]:
    """Give each name a colour, a marker and a line of its own, for every figure of a study."""
    markers = [marker for marker in MARKERS for _ in COLORS]
    return {
        name: {"color": color, "marker": marker, "ls": "-" if place < len(COLORS) else "--"}
        for place, (name, color, marker) in enumerate(zip(names, cycle(COLORS), markers, strict=False))
    }


def error_bars(metrics: Mapping[str, Any]) -> tuple[float, float]:
    """Return the interval of an accuracy as lengths down and up, cut at 0 and 1."""
    half_width = metrics["accuracy_ci95"] or 0.0
    return min(half_width, metrics["accuracy"]), min(half_width, 1 - metrics["accuracy"])


def shared_legend(figure: Figure, grid: Sequence[Axes]) -> None:
    """Draw one legend for all panels, beside them, where it hides no line."""
    handles: dict[str, Artist] = {}
    for axes in grid:
        for handle, name in zip(*axes.get_legend_handles_labels(), strict=True):
            handles.setdefault(name, handle)
    figure.legend(handles.values(), handles.keys(), loc="outside right center", frameon=False, fontsize=8)


def depth_view(frame: np.ndarray) -> np.ndarray:
    """Turn (64, 64) ranges into the camera's view, with NaN for no return, so that colours span the object alone."""
    return to_camera_view(np.where(frame < NO_RETURN, frame, np.nan))

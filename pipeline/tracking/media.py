"""Media of a classifier's run, besides its figures: `cut_predictions` cuts it from arrays, `to_wandb` draws it.

The training cuts and wandb's process draws, so nothing here needs torch. P pairs, S seeds, N rows, H x W pixels.
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from pipeline.core.sensors import CLASS_NAMES, NO_RETURN
from pipeline.render.images import colorize_depth, point_cloud, to_camera_view

if TYPE_CHECKING:
    from torch import Tensor

    from pipeline.data.arrays import Arrays

MAX_PAIRS = 12  # pairs in the table
MAX_CLOUDS = 3  # pairs of the table that are drawn in space
MAX_POINTS = 300  # points in a cloud


class Predictions(NamedTuple):
    """Test pairs and the logits of a net for them; small copies in the memory of the CPU."""

    counts: np.ndarray  # (2, 2) of all seeds together, a row a true class, a column a predicted class
    row: np.ndarray  # (P,) of the prepared arrays
    label: np.ndarray  # (P,) 0 or 1
    logit: np.ndarray  # (P,) of the first seed
    rgb: np.ndarray  # (P, H, W, 4) uint8
    depth: np.ndarray  # (P, H, W) Omniverse units, 50 = no return
    rays: np.ndarray  # (3, H, W) unit vectors


def cut_predictions(logits: Sequence["Tensor"], data: "Arrays", rows: "Tensor") -> Predictions:
    """Return the most informative of the (N,) `rows` of `data`, by the first of S `logits` (N,); counts are of all."""
    label = data.label[rows].cpu().numpy().astype(int)
    each = np.stack([logit.numpy() for logit in logits])  # (S, N)
    cells = 2 * label + (each > 0)
    chosen = most_informative(each[0], label, MAX_PAIRS)
    picked = rows[chosen.tolist()]
    return Predictions(
        np.bincount(cells.flatten(), minlength=4).reshape(2, 2),
        picked.cpu().numpy(),
        label[chosen],
        each[0, chosen],
        data.rgb[picked].cpu().numpy(),
        data.depth[picked].cpu().numpy(),
        data.rays.cpu().numpy(),
    )


def most_informative(logit: np.ndarray, label: np.ndarray, count: int) -> np.ndarray:
    """Return the indices of `count` of N pairs, from logits (N,) and labels (N,).

    Errors come first, the most confident ahead; then correct predictions, the least confident ahead.
    """
    wrong, confidence = (logit > 0) != (label > 0), np.abs(logit)
    return np.lexsort((np.where(wrong, -confidence, confidence), ~wrong))[:count]


def thin_cloud(depth: np.ndarray, rays: np.ndarray) -> np.ndarray:
    """Return x, y, z in Omniverse units and red, green, blue of at most MAX_POINTS returns, evenly chosen: (n, 6)."""
    points = np.concatenate(point_cloud(depth, rays), axis=1)  # (returns, 6)
    return points[np.linspace(0, len(points) - 1, min(len(points), MAX_POINTS)).astype(int)]


def to_wandb(predictions: Predictions) -> dict[str, Any]:
    """Return a table of predictions, point clouds and a confusion matrix, as wandb logs them."""
    import wandb

    table = wandb.Table(columns=["pair", "class", "predicted", "confidence", "correct", "rgb", "lidar"])
    for row, label, logit, rgb, depth in zip(*predictions[1:6], strict=True):
        predicted, confidence = int(logit > 0), 1 / (1 + np.exp(-abs(float(logit))))
        images = wandb.Image(rgb, mode="RGBA"), wandb.Image(to_camera_view(colorize_depth(depth)))
        table.add_data(
            int(row), CLASS_NAMES[label], CLASS_NAMES[predicted], confidence, bool(label == predicted), *images
        )
    pairs = zip(predictions.label, predictions.depth, strict=True)
    visible = [(label, depth) for label, depth in pairs if (depth < NO_RETURN).any()][:MAX_CLOUDS]
    clouds = [
        wandb.Object3D(thin_cloud(depth, predictions.rays), caption=CLASS_NAMES[label]) for label, depth in visible
    ]
    media = {"predictions": table, "confusion": _confusion_chart(predictions.counts)}
    return media | ({"clouds": clouds} if clouds else {})


def _confusion_chart(counts: np.ndarray) -> Any:
    """Return wandb's own chart of a confusion matrix (2, 2)."""
    import wandb

    columns: list[str | int] = ["Actual", "Predicted", "nPredictions"]
    cells = [
        [CLASS_NAMES[true], CLASS_NAMES[predicted], int(counts[true, predicted])]
        for true, predicted in np.ndindex(2, 2)
    ]
    return wandb.plot_table(
        vega_spec_name="wandb/confusion_matrix/v1",
        data_table=wandb.Table(columns=columns, data=cells),
        fields={str(column): str(column) for column in columns},
        string_fields={"title": "test pairs, all seeds together"},
    )

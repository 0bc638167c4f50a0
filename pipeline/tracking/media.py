"""What a wandb run shows of a classifier besides figures. Arrays are cut here; wandb's own objects are made from them.

P pairs shown, H x W pixels.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from torch import Tensor

from pipeline.core.sensors import CLASS_NAMES, NO_RETURN
from pipeline.data.arrays import Arrays

SHOWN = 12  # pairs in the table
CLOUDS = 3  # of them, those drawn in space
POINTS = 300  # in a cloud, at most
# viridis at even steps, from far to near
COLOURS = np.array([(68, 1, 84), (59, 82, 139), (33, 145, 140), (94, 201, 98), (253, 231, 37)])


class Predictions(NamedTuple):
    """Test pairs and what was said of them; small copies in the memory of the CPU."""

    counts: np.ndarray  # (2, 2) of all seeds together, a row a true class, a column what was said
    row: np.ndarray  # (P,) of the prepared arrays
    label: np.ndarray  # (P,) 0 or 1
    logit: np.ndarray  # (P,) of the first seed
    rgb: np.ndarray  # (P, H, W, 4) uint8
    depth: np.ndarray  # (P, H, W) Omniverse units, 50 = no return
    rays: np.ndarray  # (3, H, W) unit vectors


def predictions(logits: Sequence[Tensor], data: Arrays, rows: Tensor) -> Predictions:
    """(N,) logits of every seed for the (N,) `rows` of `data` -> the telling ones of the first seed."""
    label = data.label[rows].cpu().numpy().astype(int)
    said = np.stack([each.numpy() for each in logits])  # (S, N)
    cells = 2 * label + (said > 0)
    shown = telling(said[0], label, SHOWN)
    picked = rows[shown.tolist()]
    return Predictions(
        np.bincount(cells.flatten(), minlength=4).reshape(2, 2),
        picked.cpu().numpy(),
        label[shown],
        said[0, shown],
        data.rgb[picked].cpu().numpy(),
        data.depth[picked].cpu().numpy(),
        data.rays.cpu().numpy(),
    )


def telling(logit: np.ndarray, label: np.ndarray, count: int) -> np.ndarray:
    """(N,), (N,) -> places of `count` pairs: mistakes, the surest first, then right answers, the least sure first."""
    wrong, sure = (logit > 0) != (label > 0), np.abs(logit)
    return np.lexsort((np.where(wrong, -sure, sure), ~wrong))[:count]


def coloured(depth: np.ndarray) -> np.ndarray:
    """(H, W) -> (H, W, 3) uint8: near is bright, no return black; the colours span the object alone."""
    hit = depth < NO_RETURN
    picture = np.zeros((*depth.shape, 3), dtype=np.uint8)
    if hit.any():
        near, far = depth[hit].min(), depth[hit].max()
        place = (far - depth[hit]) / max(far - near, 1e-6) * (len(COLOURS) - 1)
        channels = [np.interp(place, range(len(COLOURS)), channel) for channel in COLOURS.T]
        picture[hit] = np.stack(channels, axis=1).round()
    return picture


def view(frame: np.ndarray) -> np.ndarray:
    """(H, W, ...) of the LiDAR as RGB sees the scene: its rows run right to left and its columns top to bottom."""
    return np.ascontiguousarray(np.swapaxes(frame, 0, 1)[:, ::-1])


def cloud(depth: np.ndarray, rays: np.ndarray) -> np.ndarray:
    """(H, W), (3, H, W) -> (n, 6) x, y, z in Omniverse units and red, green, blue; n at most POINTS."""
    hit = depth < NO_RETURN
    points = np.concatenate([(depth * rays)[:, hit].T, coloured(depth)[hit]], axis=1)  # (hits, 6)
    return points[np.linspace(0, len(points) - 1, min(len(points), POINTS)).astype(int)]


def as_wandb(shown: Predictions) -> dict[str, Any]:
    """A table of predictions, point clouds and a confusion matrix, as wandb logs them."""
    import wandb

    table = wandb.Table(columns=["pair", "class", "said", "confidence", "right", "rgb", "lidar"])
    for row, label, logit, rgb, depth in zip(*shown[1:6], strict=True):
        said, sure = int(logit > 0), 1 / (1 + np.exp(-abs(float(logit))))
        pictures = wandb.Image(rgb, mode="RGBA"), wandb.Image(view(coloured(depth)))
        table.add_data(int(row), CLASS_NAMES[label], CLASS_NAMES[said], sure, bool(label == said), *pictures)
    drawn = [(label, cloud(depth, shown.rays)) for label, depth in zip(shown.label, shown.depth, strict=True)]
    clouds = [wandb.Object3D(points, caption=CLASS_NAMES[label]) for label, points in drawn if len(points)][:CLOUDS]
    told = {"predictions": table, "confusion": _matrix(shown.counts)}
    return told | ({"clouds": clouds} if clouds else {})


def _matrix(counts: np.ndarray) -> Any:
    """wandb's own chart of a confusion matrix."""
    import wandb

    columns = ["Actual", "Predicted", "nPredictions"]
    cells = [[CLASS_NAMES[true], CLASS_NAMES[said], int(counts[true, said])] for true, said in np.ndindex(2, 2)]
    return wandb.plot_table(
        vega_spec_name="wandb/confusion_matrix/v1",
        data_table=wandb.Table(columns=columns, data=cells),
        fields={column: column for column in columns},
        string_fields={"title": "test pairs, all seeds together"},
    )


def picture(path: Path) -> Any:
    """A PNG file, as wandb logs it."""
    import wandb

    return wandb.Image(str(path))


def send_model(run: Any, name: str, file: Path, metrics: Mapping[str, Any]) -> None:
    """One checkpoint, that of its best epoch, as an artifact; its aliases are findable names of this version."""
    import wandb

    artifact = wandb.Artifact(name, type="model", metadata=dict(metrics))
    artifact.add_file(str(file))
    run.log_artifact(artifact, aliases=["best", *([run.group] if run.group else []), file.stem])

"""Point clouds in PCD files: write them, read them, and find the LiDAR frame that a cloud came from."""

import io
import re
from pathlib import Path

import numpy as np

from pipeline.core.files import atomic
from pipeline.core.sensors import IMAGE_SIZE, NO_RETURN
from pipeline.raw.format import DataError, Issue

HEAD = """VERSION 0.7
FIELDS x y z rgb
SIZE 4 4 4 4
TYPE F F F U
COUNT 1 1 1 1
WIDTH {count}
HEIGHT 1
VIEWPOINT 0 0 0 1 0 0 0
POINTS {count}
DATA binary
"""
TYPES = {"F": "<f", "I": "<i", "U": "<u"}


def write_pcd(path: Path, points: np.ndarray, colours: np.ndarray) -> None:
    """Points (P, 3) float32 and colours (P, 3) uint8 as a binary .pcd file, version 0.7."""
    rows = np.zeros(len(points), np.dtype([("xyz", "<f4", 3), ("bgra", "u1", 4)]))
    rows["xyz"], rows["bgra"][:, :3] = points, colours[:, ::-1]
    with atomic(path) as part:
        part.write_bytes(HEAD.format(count=len(points)).encode() + rows.tobytes())


def read_pcd(path: Path, data: bytes) -> np.ndarray:
    """Points (P, 3) float64 of a .pcd file, ASCII or binary; raises DataError. `path` is for the message."""
    try:
        head, body = re.split(rb"(?<=\n)DATA ", data, maxsplit=1)
        form, _, body = body.partition(b"\n")
        told = dict(line.split(" ", 1) for line in head.decode("ascii").splitlines() if " " in line and line[0] != "#")
        names, sizes, counts = told["FIELDS"].split(), told["SIZE"].split(), told.get("COUNT", "").split()
        kinds = [TYPES[kind] + size for kind, size in zip(told["TYPE"].split(), sizes, strict=True)]
        if form.strip() == b"ascii":
            table = np.loadtxt(io.BytesIO(body), ndmin=2) if body.strip() else np.empty((0, len(names)))
            return table[:, [names.index(axis) for axis in "xyz"]]
        if form.strip() != b"binary":
            raise ValueError(f"DATA {form.strip().decode('ascii', 'replace')}")
        repeats = [int(count) for count in counts] or [1] * len(names)
        fields = [(f"{at}", kind, repeat) for at, (kind, repeat) in enumerate(zip(kinds, repeats, strict=True))]
        rows = np.frombuffer(body, np.dtype(fields), count=int(told["POINTS"]))
        return np.column_stack([rows[f"{names.index(axis)}"].reshape(len(rows)) for axis in "xyz"]).astype(np.float64)
    except (KeyError, ValueError, IndexError, TypeError, OverflowError, MemoryError) as error:
        found = " ".join(f"{type(error).__name__} {error}".split())[:200]
        expected, fix = "a point cloud with x, y and z, ASCII or binary", "write it again without compression"
        raise DataError(Issue("header", path, found, expected, fix)) from None


def depth_from_points(path: Path, points: np.ndarray, azimuth: np.ndarray, zenith: np.ndarray) -> np.ndarray:
    """Points (P, 3) -> the ranges (64, 64) float32 whose rays they lie on; 50 where there is none.

    Raises DataError for points between the rays: they are another sensor's.
    """
    depth = np.full((IMAGE_SIZE, IMAGE_SIZE), NO_RETURN, np.float32)
    reach = np.linalg.norm(points, axis=1)
    seen = np.isfinite(reach) & (reach > 0) & (reach < NO_RETURN - 1e-3)  # some keep the points that never came back
    x, y, z = points[seen].T
    row, off_row = _nearest(-np.arctan2(x, y), azimuth)
    column, off_column = _nearest(-np.arcsin(z / reach[seen]), zenith)
    step = np.abs(np.diff(azimuth)).min(), np.abs(np.diff(zenith)).min()
    if (off_row > step[0] / 10).any() or (off_column > step[1] / 10).any():
        fix = "bring the angle files of this sensor"
        raise DataError(Issue("off-grid", path, "points between the sensor's rays", "points on them", fix))
    depth[row, column] = reach[seen]
    return depth


def _nearest(angle: np.ndarray, grid: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Index of the nearest of (64,) angles, and how far it is."""
    apart = np.abs(angle[:, None] - grid[None, :])  # (P, 64)
    index = apart.argmin(axis=1)
    return index, apart[np.arange(len(angle)), index]

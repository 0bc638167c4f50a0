"""LiDAR returns as .pcd files, and the depth map of one frame rebuilt from them."""

import io
import re
from pathlib import Path

import numpy as np

from pipeline.core.files import atomic
from pipeline.core.sensors import IMAGE_SIZE, NO_RETURN
from pipeline.raw.format import DataError, Issue

HEADER = """VERSION 0.7
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
DTYPES = {"F": "<f", "I": "<i", "U": "<u"}


def write_pcd(path: Path, points: np.ndarray, colors: np.ndarray) -> None:
    """Write points (P, 3) float32 and colors (P, 3) uint8 RGB as a binary .pcd file, version 0.7."""
    rows = np.zeros(len(points), np.dtype([("xyz", "<f4", 3), ("bgra", "u1", 4)]))
    rows["xyz"], rows["bgra"][:, :3] = points, colors[:, ::-1]
    with atomic(path) as part:
        part.write_bytes(HEADER.format(count=len(points)).encode() + rows.tobytes())


def read_pcd(path: Path, content: bytes) -> np.ndarray:
    """Return the points (P, 3) float64 of a .pcd file, ASCII or binary; `path` is for the message. Raises DataError."""
    try:
        header, body = re.split(rb"(?<=\n)DATA ", content, maxsplit=1)
        encoding, _, body = body.partition(b"\n")
        return _read_points(header.decode("ascii"), encoding.strip(), body)
    except (KeyError, ValueError, IndexError, TypeError, OverflowError, MemoryError) as error:
        found = " ".join(f"{type(error).__name__} {error}".split())[:200]
        expected, hint = "a point cloud with x, y and z, ASCII or binary", "write it again without compression"
        raise DataError(Issue("header", path, found, expected, hint)) from None


def _read_points(header: str, encoding: bytes, body: bytes) -> np.ndarray:
    entries = dict(line.split(" ", 1) for line in header.splitlines() if " " in line and line[0] != "#")
    names, sizes = entries["FIELDS"].split(), entries["SIZE"].split()
    dtypes = [DTYPES[kind] + size for kind, size in zip(entries["TYPE"].split(), sizes, strict=True)]
    columns = [names.index(axis) for axis in "xyz"]
    if encoding == b"ascii":
        table = np.loadtxt(io.BytesIO(body), ndmin=2) if body.strip() else np.empty((0, len(names)))
        return table[:, columns]
    if encoding != b"binary":
        raise ValueError(f"DATA {encoding.decode('ascii', 'replace')}")
    counts = [int(count) for count in entries.get("COUNT", "").split()] or [1] * len(names)
    fields = [(f"{index}", dtype, count) for index, (dtype, count) in enumerate(zip(dtypes, counts, strict=True))]
    rows = np.frombuffer(body, np.dtype(fields), count=int(entries["POINTS"]))
    return np.column_stack([rows[f"{column}"].reshape(len(rows)) for column in columns]).astype(np.float64)


def depth_from_points(path: Path, points: np.ndarray, azimuth: np.ndarray, zenith: np.ndarray) -> np.ndarray:
    """Return the ranges (64, 64) float32 of the rays on which points (P, 3) lie; NO_RETURN where there is none.

    Lengths are Omniverse units; azimuth (64,) and zenith (64,) are radians; `path` is for the message. Raises DataError
    for points between the rays: they come from another sensor.
    """
    depth = np.full((IMAGE_SIZE, IMAGE_SIZE), NO_RETURN, np.float32)
    ranges = np.linalg.norm(points, axis=1)
    hit = np.isfinite(ranges) & (ranges > 0) & (ranges < NO_RETURN - 1e-3)  # some files keep rays without a return
    x, y, z = points[hit].T
    row, row_error = _nearest(-np.arctan2(x, y), azimuth)
    column, column_error = _nearest(-np.arcsin(z / ranges[hit]), zenith)
    row_step, column_step = (np.abs(np.diff(angles)).min() for angles in (azimuth, zenith))
    if (row_error > row_step / 10).any() or (column_error > column_step / 10).any():
        hint = "bring the angle files of this sensor"
        raise DataError(Issue("off-grid", path, "points between the sensor's rays", "points on them", hint))
    depth[row, column] = ranges[hit]
    return depth


def _nearest(angle: np.ndarray, grid: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the index of the nearest of (64,) angles for each of (P,), and the distance to it in radians."""
    distance = np.abs(angle[:, None] - grid[None, :])  # (P, 64)
    index = distance.argmin(axis=1)
    return index, distance[np.arange(len(angle)), index]

"""Frames that are the same, or nearly: in both classes, in two splits, or merely twice."""

from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np

from pipeline.core.sensors import NO_RETURN
from pipeline.raw.format import Issue, pair_at
from pipeline.raw.index import Rows

NEIGHBOURS = 6  # frames that a frame is held against: the nearest of its class
SAME_DEPTH = 0.5  # Omniverse units, mean over the pixels in which either frame has a return
SAME_COLOUR = 8.0  # levels of 255, mean over the pixels that are lit in either
FEW = 256  # pairs of frames compared pixel by pixel at a time
MANY = 8192  # frames whose neighbours are looked for at a time

FrameReader = Callable[[np.ndarray], tuple[np.ndarray, np.ndarray]]  # rows -> rgb (n, H, W, 4), depth (n, H, W)


def find_duplicates(folder: Path, rows: Rows, measures: np.ndarray, side: np.ndarray) -> Iterator[Issue]:
    """Frames equal in every bit. `side` (N,): the number of each row's split, under 0 where it has none.

    A fault for every frame but the first of each kind: `two-classes` if that is of the other class, `leak` if it lies
    in another split, else `duplicate`. Frames that show nothing are alike by nature and are told elsewhere.
    """
    for sensor, shown in (("rgb", "lit"), ("lidar", "returns")):
        seen = np.flatnonzero(measures["good"] & (measures[shown] > 0))
        _, first, group = np.unique(measures[sensor][seen], axis=0, return_index=True, return_inverse=True)
        firsts = seen[first[group.ravel()]]
        for row, other in zip(seen[seen != firsts], firsts[seen != firsts], strict=True):
            yield _duplicate(folder, rows, side, sensor, row, other)


def _duplicate(folder: Path, rows: Rows, side: np.ndarray, sensor: str, row: int, other: int) -> Issue:
    path, twin = (getattr(pair_at(folder, int(rows.label[at]), int(rows.scene[at])), sensor) for at in (row, other))
    scene, found = int(rows.scene[row]), f"the same frame as {twin}"
    if rows.label[row] != rows.label[other]:
        fix = "find out which class it is, and restore the other"
        return Issue("two-classes", path, found, "a frame of one class", fix, range(scene, scene + 1))
    if min(side[row], side[other]) >= 0 and side[row] != side[other]:
        fix = "remove one scene of the two, or set prepare.on_error: skip to leave this one out"
        return Issue("leak", path, f"{found}, which lies in another split", "it in one", fix, range(scene, scene + 1))
    return Issue("duplicate", path, found, "every frame once", "remove one scene of the two", range(0))


def find_near_duplicates(
    folder: Path, rows: Rows, measures: np.ndarray, side: np.ndarray, frames: FrameReader
) -> list[Issue]:
    """Scenes in different splits of which one class looks nearly the same to both sensors; the second is named.

    Held against each other pixel by pixel are those that are near by `look`, at most NEIGHBOURS to a frame, so that
    a folder full of copies costs no more than another.
    """
    found = []
    for label in np.unique(rows.label):
        shown = measures["good"] & (measures["returns"] > 0) & (measures["lit"] > 0) & (side >= 0)
        for row, other in _alike(np.flatnonzero(shown & (rows.label == label)), measures, side, frames):
            scene, pair = int(rows.scene[row]), pair_at(folder, int(label), int(rows.scene[row]))
            twin = pair_at(folder, int(label), int(rows.scene[other]))
            words = f"nearly the frames of scene {twin.scene:04d}, which lies in another split"
            fix = f"look at both, and remove scene {scene:04d} if they are one"
            found.append(Issue("near-duplicate", pair.rgb, words, "scenes that differ", fix, range(0)))
    return found


def _alike(seen: np.ndarray, measures: np.ndarray, side: np.ndarray, frames: FrameReader) -> Iterator[tuple[int, int]]:
    from scipy.spatial import KDTree  # slow to import, and only this needs it

    frame = np.hstack([measures["rgb"][seen], measures["lidar"][seen]])
    _, kept = np.unique(frame, axis=0, return_index=True)  # exact copies are told as such
    seen = np.sort(seen[kept])
    if seen.size < 2:
        return
    looks, count = measures["look"][seen], min(NEIGHBOURS + 1, seen.size)
    tree = KDTree(looks)
    for part in np.array_split(np.arange(seen.size), -(-seen.size // MANY)):
        _, near = tree.query(looks[part], k=count, p=np.inf, distance_upper_bound=1)
        at, rank = np.nonzero(near < seen.size)
        row, other = seen[part[at]], seen[near[at, rank]]
        later = (row > other) & (side[row] != side[other])
        yield from _same(row[later], other[later], frames)


def _same(row: np.ndarray, other: np.ndarray, frames: FrameReader) -> Iterator[tuple[int, int]]:
    for start in range(0, row.size, FEW):
        left, right = row[start : start + FEW], other[start : start + FEW]
        same = _close(*frames(left), *frames(right))
        yield from zip(left[same].tolist(), right[same].tolist(), strict=True)


def _close(rgb: np.ndarray, depth: np.ndarray, other_rgb: np.ndarray, other_depth: np.ndarray) -> np.ndarray:
    """(n,) bool: both sensors differ by little where either sees something. Past NO_RETURN nothing is farther."""
    hit = (depth < NO_RETURN) | (other_depth < NO_RETURN)
    apart = (np.abs(depth - other_depth) * hit).sum(axis=(1, 2)) / np.maximum(hit.sum(axis=(1, 2)), 1)
    colour, other = (each[..., :3].astype(np.int16) for each in (rgb, other_rgb))
    lit = (colour > 0).any(axis=3) | (other > 0).any(axis=3)
    shade = np.abs(colour - other).mean(axis=3).sum(axis=(1, 2)) / np.maximum(lit.sum(axis=(1, 2)), 1)
    return (apart <= SAME_DEPTH) & (shade <= SAME_COLOUR)

"""Search for frames that are equal or nearly equal: in both classes, in two splits, or merely twice."""

from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np

from pipeline.core.sensors import NO_RETURN
from pipeline.raw.format import Issue, pair_at
from pipeline.raw.index import NO_SCENES, Rows

NEIGHBORS = 6  # frames of its class, nearest by signature, that a frame is compared with
MAX_RANGE_DIFFERENCE = 0.5  # Omniverse units, mean over the pixels where either frame has a return
MAX_COLOR_DIFFERENCE = 8.0  # levels of 255, mean over the pixels that are lit in either frame
COMPARED_AT_ONCE = 256  # pairs of frames
QUERIED_AT_ONCE = 8192  # frames

FrameReader = Callable[[np.ndarray], tuple[np.ndarray, np.ndarray]]  # rows -> rgb (n, H, W, 4), depth (n, H, W)


def find_duplicates(folder: Path, rows: Rows, stats: np.ndarray, split_ids: np.ndarray) -> Iterator[Issue]:
    """Yield an issue for every frame that equals an earlier one bit by bit.

    `split_ids` (N,) are the numbers of the rows' splits, negative for rows without a split. The issue is `two-classes`
    if the earlier frame is of the other class, `leak` if it lies in another split, else `duplicate`. Frames without
    returns or lit pixels are equal by nature and have issues of their own.
    """
    for sensor, size in (("rgb", "lit"), ("lidar", "returns")):
        candidates = np.flatnonzero(stats["valid"] & (stats[size] > 0))
        hashes = stats[f"{sensor}_hash"][candidates]
        _, first, group = np.unique(hashes, axis=0, return_index=True, return_inverse=True)
        originals = candidates[first[group.ravel()]]
        copies = candidates != originals
        for row, original in zip(candidates[copies], originals[copies], strict=True):
            yield _duplicate(folder, rows, split_ids, sensor, row, original)


def _duplicate(folder: Path, rows: Rows, split_ids: np.ndarray, sensor: str, row: int, original: int) -> Issue:
    path, first = (
        getattr(pair_at(folder, int(rows.label[each]), int(rows.scene[each])), sensor) for each in (row, original)
    )
    scene, found = int(rows.scene[row]), f"the same frame as {first}"
    if rows.label[row] != rows.label[original]:
        hint = "find out which class it is, and restore the other"
        return Issue("two-classes", path, found, "a frame of one class", hint, range(scene, scene + 1))
    if min(split_ids[row], split_ids[original]) >= 0 and split_ids[row] != split_ids[original]:
        hint = "remove one scene of the two, or set prepare.on_error: skip to leave this one out"
        return Issue("leak", path, f"{found}, which lies in another split", "it in one", hint, range(scene, scene + 1))
    return Issue("duplicate", path, found, "every frame once", "remove one scene of the two", NO_SCENES)


def find_near_duplicates(
    folder: Path, rows: Rows, stats: np.ndarray, split_ids: np.ndarray, frames: FrameReader
) -> list[Issue]:
    """Find scenes in different splits of which one class looks nearly equal to both sensors; name the later scene.

    A frame is compared pixel by pixel with its NEIGHBORS nearest by signature only, so that a folder full of copies
    costs no more than another.
    """
    issues = []
    for label in np.unique(rows.label):
        candidates = stats["valid"] & (stats["returns"] > 0) & (stats["lit"] > 0) & (split_ids >= 0)
        for row, other in _near_rows(np.flatnonzero(candidates & (rows.label == label)), stats, split_ids, frames):
            scene, path = int(rows.scene[row]), pair_at(folder, int(label), int(rows.scene[row])).rgb
            found = f"nearly the frames of scene {int(rows.scene[other]):04d}, which lies in another split"
            hint = f"look at both, and remove scene {scene:04d} if they are one"
            issues.append(Issue("near-duplicate", path, found, "scenes that differ", hint, NO_SCENES))
    return issues


def _near_rows(
    candidates: np.ndarray, stats: np.ndarray, split_ids: np.ndarray, frames: FrameReader
) -> Iterator[tuple[int, int]]:
    """Yield (later row, earlier row) of nearly equal frames in different splits."""
    from scipy.spatial import KDTree  # slow to import, and only this needs it

    hashes = np.hstack([stats["rgb_hash"][candidates], stats["lidar_hash"][candidates]])
    _, distinct = np.unique(hashes, axis=0, return_index=True)  # find_duplicates has named exact copies
    candidates = np.sort(candidates[distinct])
    if candidates.size < 2:
        return
    signatures, count = stats["signature"][candidates], min(NEIGHBORS + 1, candidates.size)  # the frame itself is one
    tree = KDTree(signatures)
    for part in np.array_split(np.arange(candidates.size), -(-candidates.size // QUERIED_AT_ONCE)):
        _, near = tree.query(signatures[part], k=count, p=np.inf, distance_upper_bound=1)
        at, rank = np.nonzero(near < candidates.size)
        row, other = candidates[part[at]], candidates[near[at, rank]]
        crossing = (row > other) & (split_ids[row] != split_ids[other])
        yield from _confirm(row[crossing], other[crossing], frames)


def _confirm(row: np.ndarray, other: np.ndarray, frames: FrameReader) -> Iterator[tuple[int, int]]:
    """Yield those of the pairs of rows whose frames are nearly equal pixel by pixel."""
    for start in range(0, row.size, COMPARED_AT_ONCE):
        left, right = row[start : start + COMPARED_AT_ONCE], other[start : start + COMPARED_AT_ONCE]
        equal = _nearly_equal(*frames(left), *frames(right))
        yield from zip(left[equal].tolist(), right[equal].tolist(), strict=True)


def _nearly_equal(rgb: np.ndarray, depth: np.ndarray, other_rgb: np.ndarray, other_depth: np.ndarray) -> np.ndarray:
    """Compare n pairs of frames -> (n,) bool: both sensors' mean differences are small."""
    hit = (depth < NO_RETURN) | (other_depth < NO_RETURN)
    range_difference = (np.abs(depth - other_depth) * hit).sum(axis=(1, 2)) / np.maximum(hit.sum(axis=(1, 2)), 1)
    color, other_color = (each[..., :3].astype(np.int16) for each in (rgb, other_rgb))
    lit = (color > 0).any(axis=3) | (other_color > 0).any(axis=3)
    difference = np.abs(color - other_color).mean(axis=3).sum(axis=(1, 2))
    color_difference = difference / np.maximum(lit.sum(axis=(1, 2)), 1)
    return (range_difference <= MAX_RANGE_DIFFERENCE) & (color_difference <= MAX_COLOR_DIFFERENCE)

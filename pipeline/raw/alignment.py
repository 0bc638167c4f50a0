"""Whether both sensors see an object in one direction, and whether the angles are those of the LiDAR.

The lit part of an object lies inside its outline, which the LiDAR sees whole. So the bright pixels lie where the
returns lie, whatever the noise, the darkness or the dropouts. Correlation tells a camera with another view from pairs
that do not belong together: in any view, an object that stands elsewhere for one sensor does so for the other.
"""

from collections.abc import Iterator
from pathlib import Path

import numpy as np

from pipeline.core.sensors import ANGLES, CLASSES, IMAGE_SIZE
from pipeline.raw.format import Issue, read_angles
from pipeline.raw.frame_issues import Kind, Mask, frame_issues
from pipeline.raw.frame_stats import PIXELS
from pipeline.raw.index import NO_SCENES, Rows

FOCAL_LENGTH = 73.3  # pixels; the course's camera is a pinhole at the LiDAR's place
COURSE_ANGLES = np.deg2rad(0.5 * np.arange(-32, 32))  # of the rows, and of the columns, of the course's LiDAR
ANGLE_TOLERANCE = 0.25  # degrees: half a step between two rays
MAX_DISTANCE = 5.0  # degrees from the returns to the bright pixels: at most 1 simulated, 4.1 with the range at 20
MIN_RETURNS = 8  # fewer returns do not show where an object is
MAX_RETURNS = PIXELS // 4  # more are no single object
MAX_SPREAD = 8.0  # pixels, of the bright pixels: at most 4.5 for an object, 17 for noise
MIN_PAIRS = 20  # that a correlation needs
MIN_CORRELATION = 0.5

MISMATCHED = Kind("lidar", "mismatched", "both sensors to see one object", "find the file that belongs to the picture")


def find_misaligned(folder: Path, rows: Rows, stats: np.ndarray) -> Iterator[Issue]:
    """Yield the issues of pairs whose sensors see an object in two directions, and of angles of another LiDAR.

    Where most pairs agree, each of the others is an error. Where most disagree, there is one issue for their cause: the
    angles, the view of the camera, or files that do not belong together. Raises DataError for broken angle files.
    """
    angles = dict(zip(ANGLES, read_angles(folder, CLASSES[0]), strict=True))
    others = [name for name in ANGLES if np.abs(np.rad2deg(angles[name] - COURSE_ANGLES)).max() > ANGLE_TOLERANCE]
    judged, distance = _judged(stats), _distances(stats, *angles.values())
    apart = judged & (distance > MAX_DISTANCE)
    if not _is_most(apart, judged):
        yield from _mismatched_pairs(folder, rows, judged, apart, distance)
        yield from (_angle_issue(folder, name, angles[name], "") for name in others)
        return
    count = f"{apart.sum():,} of {judged.sum():,} pairs, by {np.median(distance[apart]):.1f} degrees in the median"
    if others and not _is_most(judged & (_distances(stats, COURSE_ANGLES, COURSE_ANGLES) > MAX_DISTANCE), judged):
        yield from (_angle_issue(folder, name, angles[name], count) for name in others)
        return
    yield _view_issue(folder, _correlation(stats[judged], *angles.values()), int(judged.sum()), count)
    yield from (_angle_issue(folder, name, angles[name], "") for name in others)


def _judged(stats: np.ndarray) -> Mask:
    """Return which pairs show one object to both sensors, so that its directions can be compared."""
    seen = (stats["returns"] >= MIN_RETURNS) & (stats["returns"] <= MAX_RETURNS)
    return stats["valid"] & seen & (stats["lit"] > 0) & (stats["bright_spread"] <= MAX_SPREAD)


def _is_most(part: Mask, judged: Mask) -> bool:
    return 2 * int(part.sum()) > int(judged.sum())


def _distances(stats: np.ndarray, azimuth: np.ndarray, zenith: np.ndarray) -> np.ndarray:
    """Compute the angle (N,), in degrees, between the bright pixels and the nearest side of the returns' box."""
    outside = []
    for angles, ends, place in zip((azimuth, zenith), _ends(stats), _picture_directions(stats), strict=True):
        sides = np.sort(angles[ends], axis=1)  # (N, 2); angles may fall
        outside.append(np.maximum(np.maximum(sides[:, 0] - place, place - sides[:, 1]), 0))
    return np.rad2deg(np.hypot(*outside))


def _ends(stats: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the first and last row (N, 2), and the first and last column (N, 2), of the returns."""
    return stats["box"][:, :2], stats["box"][:, 2:]


def _picture_directions(stats: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Compute azimuth and zenith (N,) each, in radians, of the bright pixels of a pinhole camera at the LiDAR's place.

    Right in the picture is falling azimuth, and down is rising zenith.
    """
    row, column = ((stats["bright_place"] - (IMAGE_SIZE - 1) / 2) / FOCAL_LENGTH).T
    azimuth = -np.arctan(column)
    return azimuth, np.arctan(row * np.cos(azimuth))


def _correlation(stats: np.ndarray, azimuth: np.ndarray, zenith: np.ndarray) -> float:
    """Return the greatest correlation, in [0, 1], of a direction in the picture with one of the returns."""
    returns = [angles[ends].mean(axis=1) for angles, ends in zip((azimuth, zenith), _ends(stats), strict=True)]
    return float(np.nan_to_num(np.abs(np.corrcoef(_picture_directions(stats), returns)[:2, 2:])).max())


def _mismatched_pairs(folder: Path, rows: Rows, judged: Mask, apart: Mask, distance: np.ndarray) -> Iterator[Issue]:
    def describe(row: int) -> str:
        return f"the object {distance[row]:.1f} degrees from where the picture has it"

    for label in range(len(CLASSES)):
        own = rows.label == label
        yield from frame_issues(folder, rows, MISMATCHED, apart & own, judged & own, describe)


def _view_issue(folder: Path, correlation: float, pairs: int, count: str) -> Issue:
    """Return the issue of a set in which most pairs disagree: an error where no view of a camera can explain it."""
    found = f"the object elsewhere in the picture than in the LiDAR in {count}, correlation {correlation:.2f}"
    if pairs >= MIN_PAIRS and correlation < MIN_CORRELATION:
        hint = "pictures and LiDAR files are in two orders: pair them by their scene"
        return Issue("unrelated", folder, found, "sensors that see one scene", hint)
    hint = (
        "check for pictures that were turned or mirrored; for a camera of your own with another view, nothing is wrong"
    )
    return Issue("other-view", folder, found, "the view of the course's camera", hint, NO_SCENES)


def _angle_issue(folder: Path, name: str, angles: np.ndarray, count: str) -> Issue:
    """Return the issue of angles that the course's LiDAR has not; `count` proves them wrong, if it is not empty."""
    path, (first, last) = folder / CLASSES[0] / f"{name}.npy", np.rad2deg(angles[[0, -1]])
    expected = "-16 .. 15.5 degrees in steps of 0.5, those of the course's LiDAR"
    found = f"angles {first:.4g} .. {last:.4g} degrees"
    if not count:
        hint = "where a LiDAR of your own recorded the set, nothing is wrong"
        return Issue("other-angles", path, found, expected, hint, NO_SCENES)
    found += f", with which the object lies elsewhere than in the picture in {count}"
    return Issue("wrong-angles", path, found, f"{expected}, with which it fits", "put the sensor's own files there")

"""Whether both sensors see an object in one direction, and whether the angles are those of the LiDAR.

The lit part of an object lies inside its outline, which the LiDAR sees whole. So the bright pixels lie where the
returns lie, whatever the noise, the darkness or the dropouts. Correlation tells a camera with another view from pairs
that do not belong together: in any view, an object that stands elsewhere for one sensor does so for the other.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np

from pipeline.core.sensors import ANGLES, CLASSES, IMAGE_SIZE
from pipeline.raw.checks.frame_issues import Kind, Mask, frame_issues
from pipeline.raw.format import Issue, read_angles
from pipeline.raw.frame_stats import PIXELS
from pipeline.raw.index import NO_SCENES, Rows

FOCAL_LENGTH = 73.3  # pixels; the course's camera is a pinhole at the LiDAR's place
COURSE_ANGLES = np.deg2rad(0.5 * np.arange(-32, 32))  # of the rows, and of the columns, of the course's LiDAR
ANGLE_TOLERANCE = 0.25  # degrees: half a step between two rays
MAX_DISTANCE = 5.0  # degrees from the returns to the bright pixels: at most 1 simulated, 4.1 with the range at 20
MIN_RETURNS = 8  # fewer returns do not show where an object is
MAX_RETURNS = PIXELS // 4  # more are no single object
MAX_SPREAD = 8.0  # pixels, of the bright pixels: at most 4.5 for an object, 17 for noise
MIN_PAIRS = 20  # that a correlation or a scale needs
MIN_CORRELATION = 0.9  # of directions, where any camera sees what the LiDAR sees: 0.99 simulated
SCALES = (
    0.7,
    1.4,
)  # of movements in the picture by those in the LiDAR: 1.04 simulated, less by each pair that is apart
MAX_SHIFT = 4.0  # degrees: 1.5 simulated, since the lamp stands aside

MISMATCHED = Kind("lidar", "mismatched", "both sensors to see one object", "find the file that belongs to the picture")


class Fit(NamedTuple):
    """How the places of objects in the pictures fit those in the LiDAR, by some angles."""

    distance: np.ndarray  # (N,) degrees from the returns to the bright pixels
    apart: Mask  # the judged pairs of which this is too far
    scale: list[float]  # of azimuth and of zenith: movement in the picture per movement in the LiDAR; empty: unknown
    shift: float  # degrees, the greater mean difference of azimuth and zenith
    agrees: bool  # in most pairs, and as a whole


def find_misaligned(folder: Path, rows: Rows, stats: np.ndarray) -> Iterator[Issue]:
    """Yield the issues of pairs whose sensors see an object in two directions, and of angles of another LiDAR.

    Where the set as a whole agrees, each of the other pairs is an error. Where it does not, there is one issue for the
    cause: the angles, the view of the camera, or files that do not belong together. Raises DataError for broken angles.
    """
    angles = dict(zip(ANGLES, read_angles(folder, CLASSES[0]), strict=True))
    others = [name for name in ANGLES if np.abs(np.rad2deg(angles[name] - COURSE_ANGLES)).max() > ANGLE_TOLERANCE]
    judged = _judged(stats)
    fit = _fit(stats, judged, *angles.values())
    wrong = not fit.agrees and bool(others) and _fit(stats, judged, COURSE_ANGLES, COURSE_ANGLES).agrees
    if fit.agrees:
        yield from _mismatched_pairs(folder, rows, judged, fit)
    elif not wrong:
        yield _view_issue(folder, _correlation(stats[judged], *angles.values()), judged, fit)
    yield from (_angle_issue(folder, name, angles[name], _describe(judged, fit) if wrong else "") for name in others)


def _fit(stats: np.ndarray, judged: Mask, azimuth: np.ndarray, zenith: np.ndarray) -> Fit:
    distance = _distances(stats, azimuth, zenith)
    apart = judged & (distance > MAX_DISTANCE)
    seen = stats[judged]
    agrees, scale, shift = 2 * int(apart.sum()) <= len(seen), [], 0.0
    if len(seen) >= MIN_PAIRS:
        for place, center in zip(_picture_directions(seen), _lidar_directions(seen, azimuth, zenith), strict=True):
            spread = center - center.mean()
            scale.append(float(spread @ place / max(spread @ spread, 1e-12)))
            shift = max(shift, float(np.abs(np.rad2deg((place - center).mean()))))
        agrees = agrees and all(SCALES[0] < each < SCALES[1] for each in scale) and shift < MAX_SHIFT
    return Fit(distance, apart, scale, shift, agrees)


def _judged(stats: np.ndarray) -> Mask:
    """Return which pairs show one object to both sensors, so that its directions can be compared."""
    seen = (stats["returns"] >= MIN_RETURNS) & (stats["returns"] <= MAX_RETURNS)
    return stats["valid"] & seen & (stats["lit"] > 0) & (stats["bright_spread"] <= MAX_SPREAD)


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


def _lidar_directions(stats: np.ndarray, azimuth: np.ndarray, zenith: np.ndarray) -> list[np.ndarray]:
    """Return azimuth and zenith (N,) each, in radians, of the middle of the returns' box."""
    return [angles[ends].mean(axis=1) for angles, ends in zip((azimuth, zenith), _ends(stats), strict=True)]


def _correlation(stats: np.ndarray, azimuth: np.ndarray, zenith: np.ndarray) -> float:
    """Return the greatest correlation, in [0, 1], of a direction in the picture with one of the returns."""
    directions = [*_picture_directions(stats), *_lidar_directions(stats, azimuth, zenith)]
    with np.errstate(invalid="ignore", divide="ignore"):  # of objects that all stand in one place
        return float(np.nan_to_num(np.abs(np.corrcoef(directions)[:2, 2:])).max())


def _mismatched_pairs(folder: Path, rows: Rows, judged: Mask, fit: Fit) -> Iterator[Issue]:
    def describe(row: int) -> str:
        return f"the object {fit.distance[row]:.1f} degrees from where the picture has it"

    for label in range(len(CLASSES)):
        own = rows.label == label
        yield from frame_issues(folder, rows, MISMATCHED, fit.apart & own, judged & own, describe)


def _describe(judged: Mask, fit: Fit) -> str:
    found = f"the object elsewhere in the picture than in the LiDAR in {fit.apart.sum():,} of {judged.sum():,} pairs"
    moves = " and ".join(f"{each:.2f}" for each in fit.scale)
    return found + (f" (it moves {moves} times as far, shifted by {fit.shift:.1f} degrees)" if moves else "")


def _view_issue(folder: Path, correlation: float, judged: Mask, fit: Fit) -> Issue:
    """Return the issue of a set whose sensors disagree: an error where no view of a camera can explain it."""
    found = f"{_describe(judged, fit)}, correlation {correlation:.2f}"
    if judged.sum() >= MIN_PAIRS and correlation < MIN_CORRELATION:
        hint = "pictures and LiDAR files are in two orders: pair them by their scene"
        return Issue("unrelated", folder, found, "sensors that see one scene", hint)
    hint = (
        "check for pictures that were turned or mirrored; for a camera of your own with another view, nothing is wrong"
    )
    return Issue("other-view", folder, found, "the view of the course's camera", hint, NO_SCENES)


def _angle_issue(folder: Path, name: str, angles: np.ndarray, evidence: str) -> Issue:
    """Return the issue of angles that the course's LiDAR has not; `evidence`, if any, proves them wrong."""
    path, (first, last) = folder / CLASSES[0] / f"{name}.npy", np.rad2deg(angles[[0, -1]])
    expected = "-16 .. 15.5 degrees in steps of 0.5, those of the course's LiDAR"
    found = f"angles {first:.4g} .. {last:.4g} degrees"
    if not evidence:
        hint = "where a LiDAR of your own recorded the set, nothing is wrong"
        return Issue("other-angles", path, found, expected, hint, NO_SCENES)
    hint = "put the sensor's own files there, in both classes"
    return Issue("wrong-angles", path, f"{found}, and by them {evidence}", f"{expected}, which fit", hint)

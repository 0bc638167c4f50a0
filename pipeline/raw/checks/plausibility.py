"""Frames that no such sensor writes: another unit or scale, no background, nothing but background, one color.

A frame may be noisy, dark, blurred or full of dropouts: the limits lie beyond every severity of the stage `stress`.
"""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np

from pipeline.core.sensors import CLASSES, NO_RETURN
from pipeline.raw.checks.frame_issues import Kind, Mask, frame_issues
from pipeline.raw.format import Issue
from pipeline.raw.frame_stats import PIXELS
from pipeline.raw.index import Rows

MIN_RETURNS = 8  # fewer returns are too few to judge an object by
MAX_FILLED = 0.99  # share of a frame that an object and noise may fill: noise alone leaves one pixel in eight black
RANGES = (15, 35)  # Omniverse units, of a frame's mean return: the recordings have 18 .. 32, with noise 17 .. 33
MAX_SATURATED = 0.8  # share of the lit pixels: the lamp stands aside, so that part of every object is dimmer
MIN_BRIGHTEST = 32  # levels of 255; below it, rounding makes channels equal by chance
MIN_BY_CHANCE = 3  # frames of a class that have a property by chance, before an alarm


class Rule(NamedTuple):
    """A property that no true frame has, or few by chance."""

    kind: Kind
    applies: Callable[[np.ndarray], Mask]  # FRAME_STATS (N,) -> the frames that have the property
    describe: Callable[[np.void], str]  # the statistics of one such frame -> what was found
    by_chance: float = 0.0  # share of the true frames of a class that may have the property


def find_implausible(folder: Path, rows: Rows, stats: np.ndarray) -> Iterator[Issue]:
    """Yield the issues of whole frames that no such sensor writes. Frames that could not be read are left out."""

    def describe(row: int) -> str:
        return rule.describe(stats[row])

    for rule in RULES:
        applies = rule.applies(stats)
        for label in range(len(CLASSES)):
            judged = stats["valid"] & (rows.label == label)
            broken = applies & judged
            if rule.by_chance == 0 or broken.sum() >= max(MIN_BY_CHANCE, rule.by_chance * judged.sum()):
                yield from frame_issues(folder, rows, rule.kind, broken, judged, describe)


def _is_saturated(stats: np.ndarray) -> Mask:
    return (stats["saturated"] > MAX_SATURATED * stats["lit"]) & (stats["lit"] <= MAX_FILLED * PIXELS)


def _has_equal_channels(stats: np.ndarray) -> Mask:
    """Return which bright pictures have two equal channels, or an empty one.

    Channels whose sums and sums of squares are equal are taken as equal: true pictures differ in either.
    """
    sums = np.stack([stats["color_sum"], stats["color_sq_sum"]], axis=-1)  # (N, 3, 2)
    equal = (sums == np.roll(sums, 1, axis=1)).all(axis=2).any(axis=1)
    empty = (stats["color_sum"] == 0).any(axis=1)
    judged = (stats["brightest"] >= MIN_BRIGHTEST) & ~_is_constant(stats) & ~_is_saturated(stats)
    return judged & (equal | empty)


def _is_constant(stats: np.ndarray) -> Mask:
    """Return which pictures have one color all over that is not black: their colors have no variance."""
    squares = stats["color_sq_sum"].astype(np.uint64) * PIXELS
    return (stats["lit"] > 0) & (squares == stats["color_sum"].astype(np.uint64) ** 2).all(axis=1)


def _is_without_no_return(stats: np.ndarray) -> Mask:
    """Return which LiDAR frames have one range at half of all rays or more, and never that of no return."""
    return stats["at_farthest"] >= PIXELS / 2


def _is_flat(stats: np.ndarray) -> Mask:
    return (stats["returns"] >= MIN_RETURNS) & (stats["nearest"] == stats["farthest"]) & ~_is_without_no_return(stats)


def _is_out_of_range(stats: np.ndarray) -> Mask:
    mean = stats["range_sum"] / np.maximum(stats["returns"], 1)
    judged = (stats["returns"] >= MIN_RETURNS) & (stats["returns"] <= MAX_FILLED * PIXELS) & ~_is_flat(stats)
    return judged & ((mean < RANGES[0]) | (mean > RANGES[1]))


RULES = (
    Rule(
        Kind("lidar", "no-return", "an object", "check that the object was in view"),
        lambda stats: stats["returns"] == 0,
        lambda _: f"no range under {NO_RETURN:g}",
    ),
    Rule(
        Kind("rgb", "black", "an object", "check that the light was on"),
        lambda stats: stats["lit"] == 0,
        lambda _: "black pixels alone",
    ),
    Rule(
        Kind(
            "lidar",
            "background",
            f"{NO_RETURN:g} where nothing came back",
            f"convert the ranges to Omniverse units, and write {NO_RETURN:g} for no return",
        ),
        _is_without_no_return,
        lambda frame: f"the range {frame['farthest']:g} at {frame['at_farthest']:,} of {PIXELS:,} rays, and none of 50",
    ),
    Rule(
        Kind("rgb", "constant", "an object on black", "restore the picture"),
        _is_constant,
        lambda frame: f"one color all over, R G B {' '.join(str(each // PIXELS) for each in frame['color_sum'])}",
    ),
    Rule(
        Kind(
            "lidar",
            "no-background",
            f"{NO_RETURN:g} where nothing came back",
            "check the unit of the ranges, and how the sensor writes no return",
        ),
        lambda stats: (stats["returns"] > MAX_FILLED * PIXELS) & ~_is_without_no_return(stats),
        lambda frame: f"a return at {frame['returns']:,} of {PIXELS:,} rays, ranges up to {frame['farthest']:g}",
    ),
    Rule(
        Kind(
            "rgb",
            "no-background",
            "an object on black",
            "check for another camera, an inverted picture or a picture of the wrong kind",
        ),
        lambda stats: (stats["lit"] > MAX_FILLED * PIXELS) & ~_is_constant(stats),
        lambda frame: f"{frame['lit']:,} of {PIXELS:,} pixels that are not black",
    ),
    Rule(
        Kind("lidar", "flat", "ranges that differ", "check that these are ranges and not a mask"),
        _is_flat,
        lambda frame: f"the range {frame['nearest']:g} at all {frame['returns']:,} returns",
    ),
    Rule(
        Kind(
            "lidar",
            "unusual-range",
            f"{RANGES[0]} to {RANGES[1]}, as the course's LiDAR records",
            "check the unit; where other objects stood elsewhere, nothing is wrong",
        ),
        _is_out_of_range,
        lambda frame: f"returns at {frame['range_sum'] / frame['returns']:.3g} units on average",
    ),
    Rule(
        Kind("rgb", "saturated", "shades of a lit object", "check the exposure, and the scale of the values"),
        _is_saturated,
        lambda frame: f"the value 255 in {frame['saturated']:,} of {frame['lit']:,} lit pixels",
        by_chance=0.005,  # none of 20,000 simulated pictures has it, one of 20,000 with turned hues
    ),
    Rule(
        Kind("rgb", "dim", "values 0 to 255", "check whether values from 0 to 1 were saved as bytes"),
        lambda stats: (stats["brightest"] == 1) & ~_is_constant(stats),
        lambda _: "no value over 1 of 255",
    ),
    Rule(
        Kind("rgb", "equal-channels", "three channels of their own", "check how the pictures were converted"),
        _has_equal_channels,
        lambda frame: f"two equal channels or an empty one, sums of R G B {' '.join(map(str, frame['color_sum']))}",
        by_chance=0.02,  # 0.2% of the simulated pictures have two, and 0.9% of dark ones
    ),
)

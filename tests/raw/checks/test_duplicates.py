from pathlib import Path

import numpy as np
import pytest

from pipeline.raw.checks.duplicates import find_duplicates, find_near_duplicates
from pipeline.raw.frame_stats import FRAME_STATS, frame_stats
from pipeline.raw.index import Rows

FOLDER = Path("set")
Frame = tuple[np.ndarray, np.ndarray]  # rgb, depth


def rows(label: list[int], scene: list[int]) -> Rows:
    there = np.ones(len(label), bool)
    return Rows(np.array(label, np.uint8), np.array(scene), there, there)


def frame(row: int, column: int, depth: float = 24, size: int = 10) -> tuple[np.ndarray, np.ndarray]:
    """Draw an object of one colour and one range at a place."""
    rgb, ranges = np.zeros((64, 64, 4), np.uint8), np.full((64, 64), 50, np.float32)
    rgb[row : row + size, column : column + size, :3] = (200, 100, 50)
    ranges[row : row + size, column : column + size] = depth
    return rgb, ranges


def near(frames: list[Frame], split_ids: list[int], label: list[int] | None = None) -> list[str]:
    """Find near duplicates among frames, one a scene."""
    rgb, depth = (np.stack(each) for each in zip(*frames, strict=True))
    count = len(frames)
    stats = frame_stats(rgb, depth, np.ones(count, bool))
    issues = find_near_duplicates(
        FOLDER,
        rows(label or [0] * count, list(range(count))),
        stats,
        np.array(split_ids),
        lambda at: (rgb[at], depth[at]),
    )
    return [issue.found for issue in issues]


def test_the_same_object_a_little_nearer_is_near() -> None:
    assert near([frame(20, 20), frame(20, 20, depth=24.2)], [0, 2]) == [
        "nearly the frames of scene 0000, which lies in another split"
    ]


@pytest.mark.parametrize(
    "other", [frame(21, 20), frame(20, 22), frame(20, 20, depth=25), frame(20, 20, size=11)], ids=str
)
def test_another_place_range_or_size_is_not_near(other: tuple) -> None:
    assert near([frame(20, 20), other], [0, 2]) == []


def test_another_colour_is_not_near() -> None:
    rgb, depth = frame(20, 20)
    brighter, darker = rgb.copy(), rgb.copy()
    brighter[..., 0][rgb[..., 0] > 0] += 40
    darker[..., 0][rgb[..., 0] > 0] -= 5
    assert near([(rgb, depth), (brighter, depth)], [0, 2]) == []
    assert len(near([(rgb, depth), (darker, depth)], [0, 2])) == 1


def test_near_scenes_in_one_split_are_let_be() -> None:
    assert near([frame(20, 20), frame(20, 20, depth=24.2)], [1, 1]) == []
    assert near([frame(20, 20), frame(20, 20, depth=24.2)], [0, -1]) == []


def test_the_other_class_is_not_looked_at() -> None:
    assert near([frame(20, 20), frame(20, 20, depth=24.2)], [0, 2], label=[0, 1]) == []


def test_exact_copies_are_left_to_the_other_check() -> None:
    assert near([frame(20, 20), frame(20, 20)], [0, 2]) == []


# --- exact


def distinct(count: int) -> np.ndarray:
    """Return statistics of frames that differ in both sensors."""
    stats = np.zeros(count, FRAME_STATS)
    stats["valid"], stats["returns"], stats["lit"] = True, 100, 50
    stats["rgb_hash"][:, 0] = stats["lidar_hash"][:, 1] = np.arange(count) + 1
    return stats


def codes(stats: np.ndarray, label: list[int], split_ids: list[int]) -> list[tuple[str, str]]:
    issues = find_duplicates(FOLDER, rows(label, list(range(len(label)))), stats, np.array(split_ids))
    return [(issue.code, str(issue.path)) for issue in issues]


def test_frames_that_differ_are_no_duplicates() -> None:
    assert codes(distinct(4), [0, 0, 1, 1], [0, 1, 0, 2]) == []


def test_every_copy_but_the_first_is_found_by_sensor() -> None:
    stats = distinct(4)
    stats["lidar_hash"][1:] = stats["lidar_hash"][0]
    assert codes(stats, [0, 0, 0, 0], [0, 0, 1, -1]) == [
        ("duplicate", "set/cubes/lidar/0001.npy"),
        ("leak", "set/cubes/lidar/0002.npy"),
        ("duplicate", "set/cubes/lidar/0003.npy"),
    ]


def test_a_copy_in_the_other_class_is_worse_than_one_in_another_split() -> None:
    stats = distinct(2)
    stats["rgb_hash"][1] = stats["rgb_hash"][0]
    assert codes(stats, [0, 1], [0, 2]) == [("two-classes", "set/spheres/rgb/0001.png")]


def test_frames_that_show_nothing_or_are_broken_are_not_copies() -> None:
    stats = distinct(4)
    stats["rgb_hash"][:] = 7
    stats["lit"][:2], stats["valid"][3] = 0, False
    assert codes(stats, [0] * 4, [0, 1, 2, 0]) == []


@pytest.mark.slow
def test_a_folder_of_nearly_equal_frames_is_no_more_work_than_another() -> None:
    count = 20_000
    stats = distinct(count)
    stats["signature"] = np.random.default_rng(0).random((count, 7)) / 10  # all within reach of all: 200 million pairs
    blank = np.zeros((1, 64, 64, 4), np.uint8), np.full((1, 64, 64), 50, np.float32)
    read: list[int] = []

    def frames(at: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        read.append(at.size)
        return tuple(np.broadcast_to(each, (at.size, *each.shape[1:])) for each in blank)

    find_near_duplicates(FOLDER, rows([0] * count, list(range(count))), stats, np.arange(count) % 3, frames)
    assert sum(read) / 2 <= 6 * count

"""Sets of 1,000 pairs, a twentieth or all of them spoilt, and sets under the faults of real sensors."""

from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pytest
import torch

from pipeline.core.sensors import CLASSES
from pipeline.evaluation.corruptions import CORRUPTIONS, Frames
from pipeline.raw.checks.alignment import COURSE_ANGLES, FOCAL_LENGTH, find_misaligned
from pipeline.raw.checks.plausibility import find_implausible
from pipeline.raw.format import Issue
from pipeline.raw.frame_stats import frame_stats
from pipeline.raw.index import Rows
from pipeline.tools.simulator.rendering import ray_angles, render
from pipeline.tools.simulator.world import Sensor, World, draw_scene
from pipeline.tools.simulator.writing import write_angles
from support.implausible import colors, returns

SCENES = 500
FAULTS = {  # those of the stage stress, at the severities of params.yaml
    "lidar_noise": (0.2, 0.8, 3.2),
    "lidar_dropout": (0.02, 0.1, 0.5),
    "lidar_beams": (2, 4, 8),
    "lidar_range": (30, 24, 20),
    "rgb_dark": (0.7, 0.3, 0.05),
    "rgb_noise": (0.02, 0.1, 0.4),
    "rgb_blur": (0.5, 1.5, 3),
    "rgb_colour": (15, 60, 180),
}


class Pairs(NamedTuple):
    """Pairs in memory, all cubes by scene, then all spheres."""

    rgb: np.ndarray  # (N, 64, 64, 4) uint8
    depth: np.ndarray  # (N, 64, 64) float32


@pytest.fixture(scope="module")
def pairs() -> Pairs:
    """1,000 pairs, not to be changed."""
    scenes = [draw_scene(31, scene, World()) for scene in range(SCENES)]
    frames = [render(scene, label, World()) for label in range(len(CLASSES)) for scene in scenes]
    return Pairs(*map(np.stack, zip(*frames, strict=True)))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A raw folder of angle files alone."""
    for name in CLASSES:
        (tmp_path / name).mkdir()
        write_angles(tmp_path / name, ray_angles(Sensor()), ray_angles(Sensor()))
    return tmp_path


def judge(folder: Path, pairs: Pairs) -> list[Issue]:
    count = len(pairs.rgb)
    there = np.ones(count, bool)
    scenes = count // len(CLASSES)
    rows = Rows(np.repeat(np.arange(2, dtype=np.uint8), scenes), np.tile(np.arange(scenes), 2), there, there)
    blocks = range(0, count, 100)  # as small as those of scan_rows: larger ones take time to allocate
    stats = np.concatenate([frame_stats(*(each[at : at + 100] for each in (*pairs, there))) for at in blocks])
    return [*find_implausible(folder, rows, stats), *find_misaligned(folder, rows, stats)]


def spoil(pairs: Pairs, rows: np.ndarray, edit: Callable[[np.ndarray], np.ndarray], sensor: str) -> Pairs:
    frames = getattr(pairs, sensor).copy()
    frames[rows] = [edit(frame) for frame in frames[rows]]
    return pairs._replace(**{sensor: frames})


def add_noise_to_all_rays(depth: np.ndarray) -> np.ndarray:
    return depth - np.random.default_rng(0).random(depth.shape, np.float32)


KINDS = {  # kind -> sensor, edit of a frame, code
    "metres": ("depth", lambda depth: depth / 100, "background"),
    "from 0 to 1": ("depth", lambda depth: depth / 50, "background"),
    "a range of 40": ("depth", lambda depth: np.minimum(depth, 40), "background"),
    "one range": ("depth", lambda depth: 0 * depth + 20, "background"),
    "noise on all rays": ("depth", add_noise_to_all_rays, "no-background"),
    "returns in metres": ("depth", returns(lambda depth: depth / 100), "unusual-range"),
    "returns in feet": ("depth", returns(lambda depth: depth * 0.3048), "unusual-range"),
    "returns halved": ("depth", returns(lambda depth: depth / 2), "unusual-range"),
    "returns inverted": ("depth", returns(lambda depth: 1 / depth), "unusual-range"),
    "mask": ("depth", returns(lambda depth: 0 * depth + 20), "flat"),
    "no return": ("depth", lambda depth: 0 * depth + 50, "no-return"),
    "black": ("rgb", colors(lambda rgb: 0 * rgb), "black"),
    "white": ("rgb", colors(lambda rgb: 0 * rgb + 255), "constant"),
    "grey": ("rgb", colors(lambda rgb: 0 * rgb + 90), "constant"),
    "inverted": ("rgb", colors(lambda rgb: 255 - rgb), "no-background"),
    "black level of 16": ("rgb", colors(lambda rgb: 16 + rgb), "no-background"),
    "overexposed": ("rgb", colors(lambda rgb: 16 * rgb), "saturated"),
    "rounded up to 1": ("rgb", colors(lambda rgb: np.ceil(rgb / 255)), "dim"),
    "red in green": ("rgb", colors(lambda rgb: rgb[..., [0, 0, 2]]), "equal-channels"),
    "luminance": ("rgb", colors(lambda rgb: rgb.mean(axis=2, keepdims=True).repeat(3, axis=2)), "equal-channels"),
    "no blue": ("rgb", colors(lambda rgb: rgb * [1, 1, 0]), "equal-channels"),
    "mirrored": ("rgb", lambda rgb: rgb[:, ::-1], "mismatched"),
    "upside down": ("rgb", lambda rgb: rgb[::-1], "mismatched"),
    "turned": ("depth", lambda depth: depth.T, "mismatched"),
}
OF_A_SET = {"mirrored": "other-view", "upside down": "other-view", "turned": "other-view"}  # where all are spoilt


@pytest.mark.parametrize("name", KINDS)
def test_a_kind_is_found_in_a_twentieth_of_a_set_and_in_all_of_it(folder: Path, pairs: Pairs, name: str) -> None:
    sensor, edit, code = KINDS[name]
    some = np.sort(np.random.default_rng(1).permutation(2 * SCENES)[: SCENES // 10])
    found = judge(folder, spoil(pairs, some, edit, sensor))
    assert {issue.code for issue in found} == {code}
    assert {scene for issue in found for scene in issue.scenes} <= set((some % SCENES).tolist())
    found = judge(folder, spoil(pairs, np.arange(2 * SCENES), edit, sensor))
    assert {issue.code for issue in found} == {OF_A_SET.get(name, code)} and len(found) <= 2  # one a class, or one


def test_pairs_in_another_order_are_errors_in_a_twentieth_of_a_set_and_in_all_of_it(folder: Path, pairs: Pairs) -> None:
    depth = pairs.depth.copy()
    depth[:50] = np.roll(depth[:50], 1, axis=0)
    found = judge(folder, pairs._replace(depth=depth))
    scenes = {scene for issue in found for scene in issue.scenes}
    assert {(issue.code, issue.severity) for issue in found} == {("mismatched", "error")}
    assert len(scenes) > 25 and scenes <= set(range(50))  # the others happen to lie near each other
    (issue,) = judge(folder, pairs._replace(depth=np.roll(pairs.depth, 1, axis=0)))
    assert (issue.code, issue.severity, issue.scenes) == ("unrelated", "error", None)
    assert "of 1,000 pairs (it moves" in issue.found and "correlation 0.0" in issue.found


@pytest.mark.parametrize(
    "angles", [3 * COURSE_ANGLES, -COURSE_ANGLES, COURSE_ANGLES + 0.4], ids=["wide", "turned", "up"]
)
def test_angles_with_which_the_sensors_disagree_are_an_error(folder: Path, pairs: Pairs, angles: np.ndarray) -> None:
    for name in CLASSES:
        np.save(folder / name / "azimuth.npy", angles.astype(np.float32))
    (issue,) = judge(folder, pairs)
    assert (issue.code, issue.severity, issue.path) == ("wrong-angles", "error", folder / "cubes/azimuth.npy")


def test_another_sensor_whose_data_agree_is_a_warning(folder: Path, pairs: Pairs) -> None:
    """The rays of another LiDAR, half as dense: every second ray of the course's, each twice."""
    angles = np.sort(np.concatenate([COURSE_ANGLES[::2], COURSE_ANGLES[::2] + np.deg2rad(0.9)])).astype(np.float32)
    for name in CLASSES:
        np.save(folder / name / "zenith.npy", angles)
    (issue,) = judge(folder, pairs)
    assert (issue.code, issue.severity) == ("other-angles", "warning")


@pytest.mark.parametrize("fault, severity", [(fault, each) for fault, all_ in FAULTS.items() for each in all_])
def test_faults_of_real_sensors_raise_no_alarm(folder: Path, pairs: Pairs, fault: str, severity: float) -> None:
    """In 200 pairs; an object beyond the range of the LiDAR is said to be out of view, which is true."""
    frames = Frames(*(torch.from_numpy(each[::5]) for each in pairs))
    corrupted = CORRUPTIONS[fault](frames, severity, torch.Generator().manual_seed(0))
    found = judge(folder, Pairs(*(each.numpy() for each in corrupted)))
    assert {issue.code for issue in found} <= ({"no-return"} if fault == "lidar_range" else set())


def test_the_course_has_the_sensors_of_the_simulator() -> None:
    assert FOCAL_LENGTH == World().camera.focal
    np.testing.assert_array_equal(COURSE_ANGLES.astype(np.float32), ray_angles(World().sensor))

"""Figures of the data: drawn, repeated to the byte, and of the right frames."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from pipeline.report.dataset import figures
from pipeline.report.dataset.figures import (
    evenly_spaced,
    plot_contact_sheet,
    plot_overview,
    read_scene,
    return_ranges,
    select_scenes,
)
from support.pictures import assert_drawn_and_repeated

DATA = {"train": {"cubes": 2, "spheres": 1}, "val": {"cubes": 0, "spheres": 0}, "test": {"cubes": 1, "spheres": 0}}
DATA |= {
    "cubes": {"rgb_files": 5, "lidar_files": 4, "pairs_found": 4},
    "spheres": {"rgb_files": 1, "lidar_files": 1, "pairs_found": 1},
}
FRAMES = pd.DataFrame({
    "row": [0, 1, 2, 3],
    "class": ["cubes", "cubes", "cubes", "spheres"],
    "scene": [0, 4, 7, 4],
    "split": ["train", "train", "test", "train"],
    "returns": [100, 300, 0, 90],
    "lit": [50, 0, 80, 40],
    "brightness": [90.0, 0.0, 120.5, 100.0],
})  # fmt: skip
ANGLES = (np.array([0.5, 0.0, -0.5], np.float32), np.array([0.0, 0.25], np.float32))
DEPTH = np.full((4, 3, 2), 50.0, np.float32)
DEPTH[1, 1, 0], DEPTH[3, 1, 0], DEPTH[3, 2, 0] = 20.0, 10.0, 20.0  # row 2 has no return, row 0 none either
RGB = np.zeros((4, 3, 2, 4), np.uint8)
SCENE = read_scene(4, (1, 3), RGB, DEPTH, ANGLES)
EMPTY = read_scene(7, (0, 2), RGB, DEPTH, ANGLES)
LARGE = {
    name: counts | {"spheres": 140_000} if name in ("train", "val", "test") else counts for name, counts in DATA.items()
}
DRAW = {
    "one frame of a class": lambda path: plot_overview(DATA, FRAMES, return_ranges(FRAMES, DEPTH), path),
    "large numbers": lambda path: plot_overview(LARGE, FRAMES, return_ranges(FRAMES, DEPTH), path),
    "no returns": lambda path: plot_overview(
        DATA, FRAMES, {"cubes": np.empty(0, np.float32), "spheres": np.empty(0, np.float32)}, path
    ),
    "contact": lambda path: plot_contact_sheet([SCENE, EMPTY], path),
}


@pytest.mark.parametrize("name", DRAW)
def test_a_picture_is_drawn_and_repeats(name, tmp_path):
    assert_drawn_and_repeated(DRAW[name], tmp_path)


def drawn(patch: pytest.MonkeyPatch, draw: str):
    saved = []
    patch.setattr(figures, "save", lambda figure, path: saved.append(figure))
    DRAW[draw](Path("unused"))
    return saved[0]


def test_bars_have_the_numbers_of_the_metrics(monkeypatch):
    splits, files = drawn(monkeypatch, "one frame of a class").axes[:2]
    assert [text.get_text() for text in splits.texts] == ["2", "0", "1", "1", "0", "0"]
    assert [text.get_text() for text in files.texts] == ["5", "4", "4", "3", "1", "1", "1", "1"]
    assert [label.get_text() for label in files.get_xticklabels()] == ["rgb", "lidar", "paired", "used"]


@pytest.mark.parametrize("draw", ["one frame of a class", "no returns"])
def test_shares_of_either_class_sum_to_one(draw, monkeypatch):
    *_, returns, lit, brightness = drawn(monkeypatch, draw).axes
    for axes in (returns, lit, brightness):
        assert [sum(bar.get_height() for bar in bars) for bars in axes.containers] == pytest.approx([1.0, 1.0])


def test_a_black_picture_has_no_brightness(monkeypatch):
    *_, brightness = drawn(monkeypatch, "one frame of a class").axes
    assert brightness.containers[0][0].get_x() >= 90.0  # not the 0 of the frame without a lit pixel


def test_ranges_are_those_of_returns_by_class():
    found = return_ranges(FRAMES, DEPTH)
    assert found["cubes"].tolist() == [20.0] and found["spheres"].tolist() == [10.0, 20.0]


def test_ranges_look_at_few_frames_of_many(monkeypatch):
    monkeypatch.setattr(figures, "MAX_FRAMES", 2)
    frames = pd.DataFrame({"class": ["cubes"] * 5 + ["spheres"]})
    depth = np.arange(1.0, 7.0).reshape(6, 1, 1)
    found = return_ranges(frames, depth)
    assert found["cubes"].tolist() == [1.0, 5.0] and found["spheres"].tolist() == [6.0]


@pytest.mark.parametrize(("size", "places"), [(0, []), (1, [0]), (3, [0, 1, 2]), (9, [0, 3, 5, 8])])
def test_evenly_spaced(size, places):
    assert evenly_spaced(size, 4).tolist() == places


def test_selected_scenes_are_of_the_training_split_with_their_rows():
    scene = list(range(10))
    frames = pd.DataFrame({
        "row": range(20),
        "class": ["cubes"] * 10 + ["spheres"] * 10,
        "scene": scene * 2,
        "split": (["train"] * 7 + ["val", "test", "test"]) * 2,
    })  # fmt: skip
    assert list(select_scenes(frames, 3).itertuples(name=None)) == [(0, 0, 10), (3, 3, 13), (6, 6, 16)]


def test_returns_stand_where_the_angles_put_them():
    cube, sphere = SCENE.points
    assert np.allclose(cube.T, [[0, 20, 0]])
    # rows run right to left: the last row has azimuth -0.5, which lies to the right
    assert np.allclose(sphere.T, [[0, 10, 0], [20 * np.sin(0.5), 20 * np.cos(0.5), 0]], atol=1e-5)
    assert [points.shape for points in EMPTY.points] == [(3, 0), (3, 0)]


def test_the_sheet_prints_the_ranges_of_the_returns(monkeypatch):
    sheet = drawn(monkeypatch, "contact")
    labels = [axes.get_xlabel() for axes in sheet.axes if "return" in axes.get_xlabel()]
    assert labels == ["1 return,\n20.0 to 20.0 away", "2 returns,\n10.0 to 20.0 away", "no return", "no return"]
    assert [axes.get_title() for axes in sheet.axes[:6]] == [
        "cube: RGB",
        "LiDAR depth",
        "returns in space",
        "sphere: RGB",
        "LiDAR depth",
        "returns in space",
    ]
    assert [axes.get_ylabel() for axes in sheet.axes if "scene" in axes.get_ylabel()] == ["scene 0004", "scene 0007"]


def test_the_cube_and_the_sphere_of_a_scene_share_a_box_of_equal_edges(monkeypatch):
    boxes = [axes for axes in drawn(monkeypatch, "contact").axes[:6] if hasattr(axes, "get_zlim")]
    cube, sphere = ([axes.get_xlim(), axes.get_ylim(), axes.get_zlim()] for axes in boxes)
    assert cube == sphere
    assert np.allclose(np.ptp(cube, axis=1), np.ptp(cube[0]))
    assert cube[1][0] <= 10.0 and cube[1][1] >= 20.0

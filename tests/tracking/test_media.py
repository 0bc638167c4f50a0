"""Which pairs a run shows, and how LiDAR becomes pictures and points."""

import numpy as np
import torch

from pipeline.core.sensors import NO_RETURN
from pipeline.data.arrays import load_arrays
from pipeline.tracking.media import COLOURS, POINTS, SHOWN, cloud, coloured, predictions, telling, view


def test_mistakes_come_first_the_surest_of_them_ahead_then_what_was_least_sure():
    logit = np.array([4.0, -0.5, 2.0, -3.0, 0.1, -6.0])
    label = np.array([1, 1, 0, 1, 1, 0])  # wrong: 1, 2, 3
    assert telling(logit, label, 6).tolist() == [3, 2, 1, 4, 0, 5]
    assert telling(logit, label, 2).tolist() == [3, 2]


def test_near_is_bright_and_nothing_is_black():
    depth = np.array([[10.0, 20.0], [15.0, NO_RETURN]])
    picture = coloured(depth)
    assert picture.dtype == np.uint8
    assert picture[0, 0].tolist() == COLOURS[-1].tolist() and picture[0, 1].tolist() == COLOURS[0].tolist()
    assert picture[1, 0].tolist() == COLOURS[2].tolist() and picture[1, 1].tolist() == [0, 0, 0]


def test_a_frame_without_returns_is_black_and_has_no_points():
    empty = np.full((4, 4), NO_RETURN)
    assert not coloured(empty).any() and cloud(empty, np.ones((3, 4, 4))).shape == (0, 6)


def test_a_flat_frame_has_one_colour():
    assert len(np.unique(coloured(np.full((3, 3), 7.0)).reshape(-1, 3), axis=0)) == 1


def test_lidar_is_turned_to_the_view_of_rgb():
    frame = np.array([[1, 2], [3, 4]])  # a row is a column of the picture, from the right
    assert view(frame).tolist() == [[3, 1], [4, 2]]


def test_points_lie_on_their_rays_at_their_range():
    depth = np.array([[2.0, NO_RETURN], [3.0, NO_RETURN]])
    rays = np.stack([np.array([[0.0, 1.0], [1.0, 0.0]]), np.ones((2, 2)), np.zeros((2, 2))])
    assert cloud(depth, rays)[:, :3].tolist() == [[0.0, 2.0, 0.0], [3.0, 3.0, 0.0]]


def test_a_large_cloud_is_thinned_evenly():
    depth = np.linspace(1, 40, 64 * 64).reshape(64, 64)
    points = cloud(depth, np.ones((3, 64, 64)))
    assert points.shape == (POINTS, 6) and points[0, 0] == 1 and points[-1, 0] == 40
    assert np.diff(points[:, 0]).std() < 0.02


def test_predictions_hold_the_first_seed_and_count_all(prepared):
    data = load_arrays(prepared, torch.device("cpu"))
    rows = data.all_rows
    right = data.label[rows] * 8 - 4
    right[3] *= -1
    shown = predictions([right, torch.ones(len(rows))], data, rows)
    assert shown.row[0] == 3 and len(shown.row) == min(SHOWN, len(rows))
    cubes, spheres = int((data.label == 0).sum()), int((data.label == 1).sum())
    wrong = int(data.label[3])
    expected = np.array([[cubes, cubes], [0, 2 * spheres]])
    expected[wrong, wrong] -= 1
    expected[wrong, 1 - wrong] += 1
    assert shown.counts.tolist() == expected.tolist()
    assert (shown.rgb[0] == data.rgb[3].numpy()).all() and (shown.depth[0] == data.depth[3].numpy()).all()

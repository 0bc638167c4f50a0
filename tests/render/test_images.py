"""How a LiDAR frame becomes an image and points, by hand-made frames of a few rays."""

import matplotlib
import numpy as np
import pytest

from pipeline.core.sensors import NO_RETURN
from pipeline.render.images import colorize_depth, from_camera_view, point_cloud, to_camera_view

BRIGHT, DARK, BLACK = [253, 231, 36], [68, 1, 84], [0, 0, 0]  # the ends of viridis, and no return


def test_the_camera_view_turns_rows_into_columns_from_the_right():
    assert to_camera_view(np.array([[1, 2], [3, 4]])).tolist() == [[3, 1], [4, 2]]


def test_the_camera_view_of_an_oblong_frame():
    assert to_camera_view(np.array([[1, 2, 3], [4, 5, 6]])).tolist() == [[4, 1], [5, 2], [6, 3]]


def test_the_camera_view_leaves_channels_in_place():
    frame = np.array([[[1, 10], [2, 20]], [[3, 30], [4, 40]]])
    assert to_camera_view(frame).tolist() == [[[3, 30], [1, 10]], [[4, 40], [2, 20]]]


def test_the_way_back_from_the_camera_view():
    assert from_camera_view(np.array([[3, 1], [4, 2]])).tolist() == [[1, 2], [3, 4]]
    frame = np.arange(24).reshape(2, 4, 3)
    assert (from_camera_view(to_camera_view(frame)) == frame).all()


def test_near_is_bright_and_no_return_is_black():
    image = colorize_depth(np.array([[10.0, 20.0], [15.0, NO_RETURN]]))
    assert image.dtype == np.uint8
    assert image.tolist() == [[BRIGHT, DARK], [[32, 144, 140], BLACK]]


def test_a_frame_without_returns_is_black_and_has_no_points():
    empty = np.full((4, 4), NO_RETURN)
    assert colorize_depth(empty).shape == (4, 4, 3) and not colorize_depth(empty).any()
    points, colors = point_cloud(empty, np.ones((3, 4, 4)))
    assert points.shape == (0, 3) and colors.shape == (0, 3)


def test_a_frame_at_one_range_is_bright():
    assert colorize_depth(np.array([[7.0, NO_RETURN], [7.0, 7.0]])).tolist() == [[BRIGHT, BLACK], [BRIGHT, BRIGHT]]


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_the_colours_are_those_of_matplotlib(dtype):
    depth = np.random.default_rng(0).uniform(5, 40, (64, 64)).astype(dtype)
    brightness = 1 - (depth - depth.min()) / (depth.max() - depth.min())
    expected = (255 * matplotlib.colormaps["viridis"](brightness)[..., :3]).astype(np.uint8)
    assert (colorize_depth(depth) == expected).all()


def test_points_lie_on_their_rays_at_their_range():
    depth = np.array([[2.0, NO_RETURN], [3.0, NO_RETURN]])
    rays = np.stack([np.array([[0.0, 1.0], [1.0, 0.0]]), np.ones((2, 2)), np.zeros((2, 2))])
    points, colors = point_cloud(depth, rays)
    assert points.tolist() == [[0.0, 2.0, 0.0], [3.0, 3.0, 0.0]]
    assert colors.tolist() == [BRIGHT, DARK] and colors.dtype == np.uint8

import math

import pytest
import torch

from pipeline.core.sensors import NO_RETURN
from pipeline.data.geometry import ray_directions, xyza

HALF, ROOT = 0.5, math.sqrt(3) / 2  # sine and cosine of 30 degrees
ANGLES = torch.tensor([-math.pi / 6, 0.0, math.pi / 6])


def test_no_return_is_the_longest_range() -> None:
    assert NO_RETURN == 50.0


def test_directions_have_the_sensors_axes() -> None:
    rays = ray_directions(ANGLES, ANGLES)
    assert rays.shape == (3, 3, 3)
    torch.testing.assert_close(rays[:, 1, 1], torch.tensor([0.0, 1.0, 0.0]))  # both angles 0: straight ahead
    torch.testing.assert_close(rays[:, 0, 1], torch.tensor([HALF, ROOT, 0.0]))  # a low row looks right
    torch.testing.assert_close(rays[:, 1, 0], torch.tensor([0.0, ROOT, HALF]))  # a low column looks up
    torch.testing.assert_close(rays[:, 2, 2], torch.tensor([-HALF * ROOT, ROOT * ROOT, -HALF]))


def test_rows_follow_azimuth_and_columns_zenith() -> None:
    assert ray_directions(torch.zeros(2), torch.zeros(5)).shape == (3, 2, 5)


def test_directions_are_unit_vectors() -> None:
    angles = torch.deg2rad(torch.arange(-32, 32) * 0.5)
    torch.testing.assert_close(ray_directions(angles, angles).norm(dim=0), torch.ones(64, 64))


def test_xyza_literal() -> None:
    depth = torch.tensor([[[10.0, 50.0, 20.0]]])  # (1, 1, 3): one frame, one row, three columns
    points = xyza(depth, ray_directions(torch.tensor([0.0]), ANGLES))
    expected = torch.tensor([
        [0.0, 0.0, 0.0],
        [10 * ROOT, 50.0, 20 * ROOT],
        [5.0, 0.0, -10.0],
        [1.0, 0.0, 1.0],
    ])  # fmt: skip
    torch.testing.assert_close(points, expected.reshape(1, 4, 1, 3))


def test_mask_is_strictly_below_the_longest_range() -> None:
    depth = torch.tensor([[[49.99, 50.0, 0.0]]])
    assert xyza(depth, ray_directions(torch.zeros(1), ANGLES))[0, 3, 0].tolist() == [1.0, 0.0, 1.0]


def test_a_channel_axis_changes_nothing() -> None:
    depth, rays = 50 * torch.rand(5, 3, 3), ray_directions(ANGLES, ANGLES)
    assert torch.equal(xyza(depth, rays), xyza(depth.unsqueeze(1), rays))
    assert torch.equal(xyza(depth, rays)[3:4], xyza(depth[3:4], rays))  # frames do not mix


def test_range_comes_back_as_the_length_of_the_point() -> None:
    depth = 50 * torch.rand(2, 3, 3)
    torch.testing.assert_close(xyza(depth, ray_directions(ANGLES, ANGLES))[:, :3].norm(dim=1), depth)


@pytest.mark.parametrize("shape", [(3, 3), (2, 3, 4), (2, 2, 3, 3), (1, 1, 1, 3, 3)])
def test_depth_of_another_shape_is_refused(shape: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match="depth must be"):
        xyza(torch.zeros(shape), ray_directions(ANGLES, ANGLES))


def test_angles_that_are_no_vectors_are_refused() -> None:
    with pytest.raises(ValueError, match="vectors"):
        ray_directions(torch.zeros(2, 2), torch.zeros(2))

"""What holds for all angles within a quarter turn and depths."""

import torch
from hypothesis import given
from hypothesis import strategies as st

from pipeline.data.geometry import ray_directions, xyza
from support.properties import FEW

ANGLES = st.lists(st.floats(-1.5, 1.5, width=32), min_size=1, max_size=6).map(torch.tensor)
DEPTHS = st.floats(0.0009765625, 50, width=32)


@FEW
@given(ANGLES, ANGLES)
def test_every_ray_is_a_unit_vector_and_turns_back_into_its_angles(azimuth: torch.Tensor, zenith: torch.Tensor) -> None:
    rays = ray_directions(azimuth.double(), zenith.double())
    torch.testing.assert_close(rays.norm(dim=0), torch.ones(len(azimuth), len(zenith)).double())
    torch.testing.assert_close(rays[2].clamp(-1, 1).asin(), -zenith.double().expand_as(rays[2]), atol=1e-6, rtol=0)


@FEW
@given(ANGLES, ANGLES, st.data())
def test_a_point_lies_as_far_as_its_depth_and_the_mask_marks_the_returns(
    azimuth: torch.Tensor, zenith: torch.Tensor, data: st.DataObject
) -> None:
    values = data.draw(st.lists(DEPTHS, min_size=len(azimuth) * len(zenith), max_size=len(azimuth) * len(zenith)))
    depth = torch.tensor(values).reshape(1, len(azimuth), len(zenith))
    points = xyza(depth, ray_directions(azimuth, zenith))
    torch.testing.assert_close(points[:, :3].norm(dim=1), depth, rtol=1e-5, atol=1e-5)
    assert points[:, 3].flatten().tolist() == [float(value < 50) for value in depth.flatten()]

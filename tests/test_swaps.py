"""Pairs that do not belong together."""

import pytest
import torch
from torch import Tensor

from pipeline.data.degrade import other_scene, other_shape


def test_lidar_of_the_next_scene() -> None:
    twins = torch.tensor([[0, 10], [1, 11], [2, 12]])
    assert other_scene(twins).tolist() == [[1, 11], [2, 12], [0, 10]]
    assert other_shape(twins).tolist() == [[11, 1], [12, 2], [10, 0]]
    assert twins.tolist() == [[0, 10], [1, 11], [2, 12]]


@pytest.mark.parametrize("swap", [other_scene, other_shape])
@pytest.mark.parametrize("twins", [torch.empty(0, 2, dtype=torch.int64), torch.tensor([[0, 1]])])
def test_one_scene_has_no_other(swap, twins: Tensor) -> None:
    with pytest.raises(ValueError, match=f"found {len(twins)} scenes; expected at least 2"):
        swap(twins)

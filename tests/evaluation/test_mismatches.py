"""Pairs that do not belong together."""

import pytest
import torch
from torch import Tensor

from pipeline.evaluation.corruptions import mismatched_scene, mismatched_shape


def test_lidar_of_the_next_scene() -> None:
    scene_pairs = torch.tensor([[0, 10], [1, 11], [2, 12]])
    assert mismatched_scene(scene_pairs).tolist() == [[1, 11], [2, 12], [0, 10]]
    assert mismatched_shape(scene_pairs).tolist() == [[11, 1], [12, 2], [10, 0]]
    assert scene_pairs.tolist() == [[0, 10], [1, 11], [2, 12]]


@pytest.mark.parametrize("swap", [mismatched_scene, mismatched_shape])
@pytest.mark.parametrize("scene_pairs", [torch.empty(0, 2, dtype=torch.int64), torch.tensor([[0, 1]])])
def test_one_scene_has_no_other(swap, scene_pairs: Tensor) -> None:
    with pytest.raises(ValueError, match=f"found {len(scene_pairs)} scenes; expected at least 2"):
        swap(scene_pairs)

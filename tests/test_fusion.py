"""Fusions by literal tensors, nets by their published parameter counts."""

from typing import get_args

import pytest
import torch
from torch import nn

from pipeline.config import FusionName
from pipeline.models.fusion import FUSIONS, Add, Concat, FusionNet, Hadamard, build_fusion

LATE = {"branch": [25, 50, 100], "embed": 100, "head": [100]}
SMALL = {"branch": [50, 100], "shared": [100], "head": [100]}
COURSE = {"branch": [25, 50, 100], "shared": [], "head": [1000, 100]}
RGB, LIDAR = torch.tensor([[1.0, 2.0]]), torch.tensor([[3.0, -4.0]])


def parameters(module: nn.Module) -> int:
    return sum(parameter.numel() for parameter in module.parameters())


@pytest.mark.parametrize(
    ("fuse", "expected"), [(Concat(), [[1, 2, 3, -4]]), (Add(), [[4, -2]]), (Hadamard(), [[3, -8]])]
)
def test_fusions_literally(fuse, expected):
    assert fuse(RGB, LIDAR).tolist() == expected
    assert fuse(RGB, LIDAR).shape[1] == fuse.widening * RGB.shape[1]


def test_fusion_net_gives_each_modality_its_own_branch():
    class Times(nn.Module):
        def __init__(self, factor: float) -> None:
            super().__init__()
            self.factor = factor

        def forward(self, values):
            return values * self.factor

    net = FusionNet(Times(10), Times(100), Add(), nn.Linear(2, 1, bias=False))
    nn.init.ones_(net.head.weight)
    assert net(RGB, LIDAR).tolist() == [10 + 20 + 300 - 400]


@pytest.mark.parametrize("downsample", ["maxpool", "strided"])
@pytest.mark.parametrize(
    ("fusion", "widths", "count"),
    [
        ("late", LATE, 1_415_051),
        ("concat", SMALL, 914_201),
        ("add", SMALL, 824_201),
        ("hadamard", SMALL, 824_201),
        ("concat", COURSE, 13_015_851),
        ("add", COURSE, 6_615_851),
        ("hadamard", COURSE, 6_615_851),
    ],
)
def test_published_parameter_counts(fusion, downsample, widths, count):
    net = build_fusion(fusion, downsample, widths)
    assert parameters(net) == count
    assert net(torch.zeros(2, 4, 64, 64), torch.zeros(2, 4, 64, 64)).shape == (2,)


def test_params_know_every_fusion_and_no_other():
    assert set(get_args(FusionName)) == set(FUSIONS)


def test_points_are_seen_from_the_centre_in_units_of_the_spread():
    torch.manual_seed(0)
    near = build_fusion("concat", "maxpool", SMALL)
    far = build_fusion("concat", "maxpool", SMALL, centre=20.0, spread=2.0)
    far.load_state_dict(near.state_dict())
    rgb, points = torch.rand(1, 4, 64, 64), torch.rand(1, 4, 64, 64)
    moved = points * torch.tensor([2.0, 2.0, 2.0, 1.0]).view(1, 4, 1, 1) + torch.tensor([0, 20.0, 0, 0]).view(
        1, 4, 1, 1
    )
    torch.testing.assert_close(near(rgb, points), far(rgb, moved))
    assert not torch.allclose(near(rgb, points), near(rgb, moved))

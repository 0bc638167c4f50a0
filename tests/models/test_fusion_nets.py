"""Nets by their published parameter counts, and by what reaches which branch."""

import pytest
import torch
from torch import nn

from pipeline.core.errors import PipelineError
from pipeline.models.fusion import FUSIONS, Add, FusionNet, build_fusion, check_widths, unimodal_nets

LATE = {"channels": [25, 50, 100], "embed_dim": 100, "head_dims": [100]}
SMALL = {"channels": [50, 100], "shared_channels": [100], "head_dims": [100]}
COURSE = {"channels": [25, 50, 100], "shared_channels": [], "head_dims": [1000, 100]}
RGB, LIDAR = torch.tensor([[1.0, 2.0]]), torch.tensor([[3.0, -4.0]])


def parameters(module: nn.Module) -> int:
    return sum(parameter.numel() for parameter in module.parameters())


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


@pytest.mark.parametrize(
    ("fusion", "downsample", "widths", "count"),
    [
        # two logits instead of one: 101 more in the source
        ("concat", "strided_extra", COURSE, 13_252_552 - 101),
        ("add", "strided_extra", COURSE, 6_852_552 - 101),
        ("matmul", "maxpool", COURSE, 6_615_851),  # a product has no weights: those of hadamard
        ("late_frozen", "maxpool", LATE, 1_415_051),
        ("rgb", "maxpool", LATE, 925 + 11_300 + 45_100 + 640_100 + 10_100 + 101),
        # 8 -> 25 -> 50 -> 100, 6400 -> 100 -> 1
        ("early", "maxpool", {"channels": [25, 50, 100], "head_dims": [100]}, 1_825 + 11_300 + 45_100 + 640_100 + 101),
        ("gated", "maxpool", SMALL, 824_201 + 200 * 100 + 100),  # add's, and a 1x1 convolution 200 -> 100
        # concat's, two sets of queries, keys, values and outputs, positions of 16x16 places for either sensor
        ("attention", "maxpool", SMALL | {"num_heads": 2}, 914_201 + 2 * 4 * (100 * 100 + 100) + 2 * 256 * 100),
    ],
)
def test_parameter_counts_by_hand(fusion, downsample, widths, count):
    net = build_fusion(fusion, downsample, widths)
    assert parameters(net) == count
    assert net(torch.zeros(2, 4, 64, 64), torch.zeros(2, 4, 64, 64)).shape == (2,)


@pytest.mark.parametrize(("fusion", "ignored"), [("rgb", 1), ("lidar", 0)])
def test_a_baseline_ignores_the_other_sensor(fusion, ignored):
    torch.manual_seed(0)
    net = build_fusion(fusion, "strided", LATE)
    inputs = [torch.rand(1, 4, 64, 64), torch.rand(1, 4, 64, 64)]
    logit = net(*inputs)
    for changed in (0, 1):
        others = list(inputs)
        others[changed] = torch.rand(1, 4, 64, 64)
        assert (net(*others) == logit).item() == (changed == ignored)


def test_unimodal_nets_share_the_encoders_and_use_one_sensor_each():
    net = build_fusion("late_frozen", "strided", LATE)
    rgb, lidar = unimodal_nets(net)
    assert rgb.rgb is net.rgb and lidar.lidar is net.lidar
    pair = torch.rand(2, 4, 64, 64), torch.rand(2, 4, 64, 64)
    assert rgb(*pair).shape == lidar(*pair).shape == (2,)
    assert rgb(pair[0], pair[0]).equal(rgb(*pair)) and lidar(pair[1], pair[1]).equal(lidar(*pair))


WRONG_WIDTHS = {
    "missing": ("late", {"channels": [4], "head_dims": [4]}, "fusion.nets.late.embed_dim is missing: add it"),
    "missing heads": ("attention", SMALL, "fusion.nets.attention.num_heads is missing: add it"),
    "too many": (
        "add",
        SMALL | {"embed_dim": 4},
        "fusion.nets.add.embed_dim is not a width of add, which takes channels, shared_channels, head_dims: remove it",
    ),
    "both": (
        "early",
        {"channels": [4], "num_heads": 2},
        "fusion.nets.early.head_dims is missing: add it; "
        "fusion.nets.early.num_heads is not a width of early, which takes channels, head_dims: remove it",
    ),
    "no such fusion": (
        "mul",
        SMALL,
        f"fusion.nets.mul is not a fusion of pipeline/models/fusion.py: expected one of {', '.join(FUSIONS)}; "
        "remove it, or add its builder to FUSIONS",
    ),
}


@pytest.mark.parametrize("fusion, widths, message", WRONG_WIDTHS.values(), ids=WRONG_WIDTHS)
def test_widths_that_a_fusion_does_not_take_are_refused_by_full_key(fusion, widths, message):
    for refuse in (check_widths, lambda *_: build_fusion(fusion, "maxpool", widths)):
        with pytest.raises(PipelineError) as caught:
            refuse(fusion, widths)
        assert str(caught.value) == message


@pytest.mark.parametrize("fusion, widths", [("concat", SMALL), ("early", {"channels": [4], "head_dims": [3]})])
def test_colors_are_normalized_by_mean_and_standard_deviation(fusion, widths):
    torch.manual_seed(0)
    raw = build_fusion(fusion, "maxpool", widths)
    standardized = build_fusion(fusion, "maxpool", widths, rgb_mean=[0.5, 0.25, 0.0], rgb_std=[0.5, 2.0, 1.0])
    standardized.load_state_dict(raw.state_dict())
    rgb, points = torch.rand(1, 4, 64, 64), torch.rand(1, 4, 64, 64)
    std, mean = torch.tensor([0.5, 2.0, 1.0, 1.0]), torch.tensor([0.5, 0.25, 0.0, 0.0])
    moved = rgb * std.view(1, 4, 1, 1) + mean.view(1, 4, 1, 1)
    torch.testing.assert_close(raw(rgb, points), standardized(moved, points))
    assert not torch.allclose(raw(rgb, points), raw(moved, points))


def test_points_are_normalized_by_mean_and_standard_deviation():
    torch.manual_seed(0)
    near = build_fusion("concat", "maxpool", SMALL)
    far = build_fusion("concat", "maxpool", SMALL, depth_mean=20.0, depth_std=2.0)
    far.load_state_dict(near.state_dict())
    rgb, points = torch.rand(1, 4, 64, 64), torch.rand(1, 4, 64, 64)
    moved = points * torch.tensor([2.0, 2.0, 2.0, 1.0]).view(1, 4, 1, 1) + torch.tensor([0, 20.0, 0, 0]).view(
        1, 4, 1, 1
    )
    torch.testing.assert_close(near(rgb, points), far(rgb, moved))
    assert not torch.allclose(near(rgb, points), near(rgb, moved))

"""Trunks, heads and the fixed scaling in front of them."""

import pytest
import torch
from torch import nn

from pipeline.models.blocks import DOWNSAMPLE, Normalize, conv_trunk, flattened_size, freeze, mlp


def parameters(module: torch.nn.Module) -> int:
    return sum(parameter.numel() for parameter in module.parameters())


@pytest.mark.parametrize("downsample", DOWNSAMPLE)
def test_each_block_halves_the_picture(downsample):
    out = conv_trunk([4, 8, 16], downsample)(torch.zeros(2, 4, 64, 64))
    assert out.shape == (2, 16, 16, 16)
    assert flattened_size(64, [4, 8, 16]) == 16 * 16 * 16


def test_batch_normalisation_follows_every_convolution():
    kinds = [type(layer).__name__ for layer in conv_trunk([4, 8, 16], norm="batch")]
    assert kinds == ["Conv2d", "MaxPool2d", "BatchNorm2d", "ReLU"] * 2
    kinds = [type(layer).__name__ for layer in conv_trunk([4, 8], "strided", "batch")]
    assert kinds == ["Conv2d", "BatchNorm2d", "ReLU"]


def test_pooling_before_the_relu_gives_the_bits_of_pooling_after_it():
    torch.manual_seed(0)
    pooled_first, reference = conv_trunk([3, 8, 16]), []
    for layer in pooled_first:  # the same modules, each pair of pool and ReLU swapped
        reference.insert(len(reference) - 1, layer) if isinstance(layer, nn.ReLU) else reference.append(layer)
    pictures = torch.randn(4, 3, 16, 16).round(decimals=1)  # rounded, so that some of the four values tie
    outcomes = []
    for net in (pooled_first, nn.Sequential(*reference)):
        net.zero_grad()
        loss = net(pictures).square().sum()
        loss.backward()
        outcomes.append([loss.detach(), *(parameter.grad.clone() for parameter in net.parameters())])
    assert [type(layer).__name__ for layer in reference][-2:] == ["ReLU", "MaxPool2d"]
    assert all(first.equal(second) for first, second in zip(*outcomes, strict=True))


def test_flat_size_agrees_with_the_trunk_on_a_side_that_halves_unevenly():
    channels = [1, 2, 3, 5]
    assert conv_trunk(channels)(torch.zeros(1, 1, 20, 20)).numel() == flattened_size(20, channels) == 5 * 2 * 2


def test_strided_has_the_parameters_of_maxpool():
    assert (
        parameters(conv_trunk([4, 50, 100], "strided"))
        == parameters(conv_trunk([4, 50, 100], "maxpool"))
        == 1850 + 45_100
    )


def test_strided_extra_puts_a_convolution_in_the_place_of_the_pool():
    layers = conv_trunk([4, 8], "strided_extra", "batch")
    assert [type(layer).__name__ for layer in layers] == ["Conv2d", "BatchNorm2d", "ReLU", "Conv2d"]
    assert (layers[0].stride, layers[3].stride) == ((1, 1), (2, 2))
    # published for 4 -> 25 -> 50 -> 100 on two modalities: 13,252,552 against 13,015,952
    widths = [4, 25, 50, 100]
    assert (
        2 * (parameters(conv_trunk(widths, "strided_extra")) - parameters(conv_trunk(widths)))
        == 13_252_552 - 13_015_952
    )


def test_freeze_stops_every_parameter():
    assert not any(parameter.requires_grad for parameter in freeze(conv_trunk([1, 2, 3])).parameters())


def test_maxpool_keeps_the_largest_of_four_and_strided_the_stepped_positions():
    picture = torch.arange(16.0).view(1, 1, 4, 4)
    for downsample, expected in (("maxpool", [5, 7, 13, 15]), ("strided", [0, 2, 8, 10])):
        net = conv_trunk([1, 1], downsample)
        with torch.no_grad():
            net[0].weight.zero_()
            net[0].weight[0, 0, 1, 1] = 1  # the convolution copies its input
            net[0].bias.zero_()
        assert net(picture).flatten().tolist() == expected


def test_mlp_ends_without_relu():
    net = mlp([2, 2, 1])
    with torch.no_grad():
        for layer, weight in ((net[0], [[1.0, 0.0], [0.0, -1.0]]), (net[2], [[-1.0, -2.0]])):
            layer.weight.copy_(torch.tensor(weight))
            layer.bias.zero_()
    # hidden: relu(3), relu(-5) = 3, 0; out: -3, which a last ReLU would have cut to 0
    assert net(torch.tensor([[3.0, 5.0]])).item() == -3


def test_standardise_by_channel_and_outside_the_weights():
    layer = Normalize([0.0, 20.0], [1.0, 4.0])
    out = layer(torch.tensor([7.0, 50.0]).view(1, 2, 1, 1))
    assert out.flatten().tolist() == [7.0, 7.5]
    assert layer.state_dict() == {} and parameters(layer) == 0

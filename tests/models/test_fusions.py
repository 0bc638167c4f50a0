"""Every fusion by literal tensors."""

import pytest
import torch

from pipeline.models.fusion import Add, Attention, Concat, Gated, Hadamard, LidarOnly, Matmul, RgbOnly

RGB, LIDAR = torch.tensor([[1.0, 2.0]]), torch.tensor([[3.0, -4.0]])


@pytest.mark.parametrize(
    ("fuse", "expected"),
    [
        (RgbOnly(), [[1, 2]]),
        (LidarOnly(), [[3, -4]]),
        (Concat(), [[1, 2, 3, -4]]),
        (Add(), [[4, -2]]),
        (Hadamard(), [[3, -8]]),
    ],
)
def test_fusions_literally(fuse, expected):
    assert fuse(RGB, LIDAR).tolist() == expected
    assert fuse(RGB, LIDAR).shape[1] == fuse.channel_multiplier * RGB.shape[1]


def test_matmul_multiplies_the_maps_of_each_channel():
    rgb = torch.tensor([[[[1.0, 2], [3, 4]], [[1, 0], [0, 1]]]])  # (1, 2, 2, 2): the second channel is the identity
    lidar = torch.tensor([[[[0.0, 1], [1, 0]], [[5, 6], [7, 8]]]])
    assert Matmul()(rgb, lidar).tolist() == [[[[2, 1], [4, 3]], [[5, 6], [7, 8]]]]


@pytest.mark.parametrize(("bias", "expected"), [(50.0, [1.0, 2.0]), (-50.0, [3.0, -4.0]), (0.0, [2.0, -1.0])])
def test_a_gate_opens_for_rgb_or_lidar_or_halves_both(bias, expected):
    fuse = Gated(2)
    with torch.no_grad():
        fuse.gate.weight.zero_()
        fuse.gate.bias.fill_(bias)
    assert fuse(RGB.view(1, 2, 1, 1), LIDAR.view(1, 2, 1, 1)).flatten().tolist() == pytest.approx(expected)


def test_a_gate_sees_both():
    fuse = Gated(1)
    with torch.no_grad():
        fuse.gate.weight.copy_(torch.tensor([0.0, 100.0]).view(1, 2, 1, 1))  # opens for RGB where LiDAR is positive
        fuse.gate.bias.zero_()
    rgb, lidar = torch.tensor([7.0, 7.0]).view(1, 1, 1, 2), torch.tensor([1.0, -1.0]).view(1, 1, 1, 2)
    assert fuse(rgb, lidar).flatten().tolist() == pytest.approx([7.0, -1.0])


def plain_attention(channels: int, side: int) -> Attention:
    """Build an attention whose projections are identities and whose positions have no effect."""
    fuse = Attention(channels, side, num_heads=1)
    with torch.no_grad():
        fuse.rgb_pos_embed.zero_()
        fuse.lidar_pos_embed.zero_()
        for attn in (fuse.rgb_to_lidar_attn, fuse.lidar_to_rgb_attn):
            attn.in_proj_weight.copy_(torch.eye(channels).repeat(3, 1))
            attn.in_proj_bias.zero_()
            attn.out_proj.weight.copy_(torch.eye(channels))
            attn.out_proj.bias.zero_()
    return fuse


def test_attention_of_one_place_adds_the_other_map_to_each():
    fuse = plain_attention(2, 1)
    out = fuse(RGB.view(1, 2, 1, 1), LIDAR.view(1, 2, 1, 1))
    assert out.flatten().tolist() == [4, -2, 4, -2] and out.shape == (1, 4, 1, 1)


def test_attention_finds_the_place_that_answers():
    # one channel, two places; RGB's first place queries large values and finds LiDAR's second
    rgb, lidar = torch.tensor([30.0, 0.0]).view(1, 1, 1, 2), torch.tensor([0.0, 2.0]).view(1, 1, 1, 2)
    fuse = plain_attention(1, 1)
    fuse.rgb_pos_embed = fuse.lidar_pos_embed = torch.nn.Parameter(torch.zeros(2, 1))
    out = fuse(rgb, lidar).flatten().tolist()
    assert out[0] == pytest.approx(30 + 2, abs=1e-4)  # softmax(0, 60) takes the second place whole
    assert out[1] == pytest.approx(0 + 1, abs=1e-4)  # a query of 0 gets the mean
    assert out[2] == pytest.approx(0 + 15, abs=1e-4)
    assert out[3] == pytest.approx(2 + 30, abs=1e-4)


def test_positions_let_equal_places_differ():
    torch.manual_seed(0)
    fuse = Attention(4, 2, num_heads=2)
    with torch.no_grad():
        fuse.rgb_pos_embed.mul_(100)
        fuse.lidar_pos_embed.mul_(100)
    out = fuse(torch.ones(1, 4, 2, 2), torch.ones(1, 4, 2, 2))
    assert out.shape == (1, 8, 2, 2)
    assert not torch.allclose(out[..., 0, 0], out[..., 1, 1])

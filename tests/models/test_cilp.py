"""The chain's nets: published counts, the course's key layout, temperature, freezing."""

import math

import pytest
import torch

from pipeline.metrics.contrastive import clip_loss
from pipeline.models.blocks import freeze
from pipeline.models.cilp import (
    CILP,
    MAX_LOGIT_SCALE,
    CrossModalClassifier,
    LidarClassifier,
    ProjectedClassifier,
    RgbClassifier,
    build_projector,
)

BRANCH = [50, 100, 200, 200]
SMALL = {"channels": [2, 3], "hidden_dims": [4], "embed_dim": 5, "temperature": 0.07}


def parameters(module: torch.nn.Module) -> int:
    return sum(parameter.numel() for parameter in module.parameters())


def test_published_parameter_counts():
    net = CILP(BRANCH, [100], 200, 0.07)
    assert parameters(net.rgb) == 927_650
    assert parameters(net.lidar) == 926_300
    assert parameters(LidarClassifier(BRANCH, [100])) == 906_201
    assert parameters(RgbClassifier(BRANCH, [100])) == 906_201 + 3 * 50 * 9  # three channels more than depth
    assert parameters(build_projector(200, [1000, 500], 3200)) == 201_000 + 500_500 + 1_603_200


def test_lidar_classifier_has_the_keys_and_shapes_of_the_course():
    shapes = {name: tuple(value.shape) for name, value in LidarClassifier(BRANCH, [100]).state_dict().items()}
    assert shapes == {
        "embedder.0.weight": (50, 1, 3, 3),
        "embedder.0.bias": (50,),
        "embedder.3.weight": (100, 50, 3, 3),
        "embedder.3.bias": (100,),
        "embedder.6.weight": (200, 100, 3, 3),
        "embedder.6.bias": (200,),
        "embedder.9.weight": (200, 200, 3, 3),
        "embedder.9.bias": (200,),
        "classifier.0.weight": (100, 3200),
        "classifier.0.bias": (100,),
        "classifier.2.weight": (1, 100),
        "classifier.2.bias": (1,),
    }
    net = LidarClassifier(BRANCH, [100])
    assert net.features(torch.zeros(2, 1, 64, 64)).shape == (2, 3200)
    assert net(torch.zeros(2, 1, 64, 64)).shape == (2,)


def test_embeddings_have_length_one_and_the_temperature_starts_as_configured():
    net = CILP(**SMALL)
    rgb, lidar = net(torch.rand(3, 4, 64, 64), torch.rand(3, 1, 64, 64))
    assert rgb.shape == lidar.shape == (3, 5)
    torch.testing.assert_close(torch.cat([rgb, lidar]).norm(dim=1), torch.ones(6))
    assert net.logit_scale.item() == pytest.approx(1 / 0.07)
    net.log_logit_scale.data.fill_(10.0)
    assert net.logit_scale.item() == MAX_LOGIT_SCALE


def test_symmetric_cross_entropy_literally():
    eye = torch.eye(2)
    right = -math.log(math.e / (math.e + 1))  # the own pair at similarity 1, the other at 0
    wrong = -math.log(1 / (math.e + 1))
    assert clip_loss(eye, eye, 1.0).item() == pytest.approx(right)
    assert clip_loss(eye, eye.flip(0), 1.0).item() == pytest.approx(wrong)


def test_clip_loss_averages_both_directions():
    rgb = torch.tensor([[1.0, 0.0], [0.0, 1.0]])
    lidar = torch.tensor([[1.0, 0.0], [1.0, 0.0]])  # two LiDAR frames alike
    by_row = (math.log(2) + math.log(2)) / 2
    by_column = (math.log(1 + math.e**-1) + math.log(1 + math.e)) / 2
    assert clip_loss(rgb, lidar, 1.0).item() == pytest.approx((by_row + by_column) / 2)


@pytest.mark.parametrize("size", [2, 32, 7])
def test_embeddings_that_know_nothing_give_the_loss_of_chance(size):
    same = torch.nn.functional.normalize(torch.ones(size, 5), dim=1)
    assert clip_loss(same, same, 14.3).item() == pytest.approx(math.log(size))


def test_logits_stay_exact_under_autocast():
    rows = torch.nn.functional.normalize(torch.randn(8, 64, generator=torch.Generator().manual_seed(0)), dim=1)
    plain = clip_loss(rows, rows, 100.0)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert clip_loss(rows, rows, 100.0) == plain


def test_freeze_reaches_every_parameter():
    net = freeze(CILP(**SMALL).rgb)
    assert [parameter.requires_grad for parameter in net.parameters()] == [False] * 8


def test_rgb_to_lidar_is_embedder_projector_head():
    net = CrossModalClassifier(
        CILP(**SMALL).rgb, ProjectedClassifier(build_projector(5, [6], 7), torch.nn.Linear(7, 1))
    )
    rgb = torch.rand(2, 4, 64, 64)
    torch.testing.assert_close(net(rgb), net.tail.classifier(net.tail.projector(net.embedder(rgb))).squeeze(1))
    assert net(rgb).shape == (2,)


def test_batch_normalisation_is_in_both_embedders_if_configured():
    counts = {norm: parameters(CILP(**SMALL, norm=norm)) for norm in ("none", "batch")}
    assert counts["batch"] - counts["none"] == 2 * 2 * (2 + 3)  # a weight and a bias a channel, two embedders


def test_depth_is_normalized_by_mean_and_standard_deviation():
    plain, scaled = LidarClassifier([2], [3]), LidarClassifier([2], [3], depth_mean=24.0, depth_std=3.0)
    scaled.load_state_dict(plain.state_dict())
    depth = torch.rand(2, 1, 64, 64)
    torch.testing.assert_close(scaled(24 + 3 * depth), plain(depth), rtol=1e-4, atol=1e-5)

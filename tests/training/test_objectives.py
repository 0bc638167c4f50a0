"""Objectives by literal answers, each with a net that only passes on what it is given."""

import math

import pytest
import torch
from torch import nn

from pipeline.core.device import build_seeded
from pipeline.data.arrays import Batch, Examples
from pipeline.models.cilp import CILP
from pipeline.training import objectives
from pipeline.training.objectives import (
    contrastive_objective,
    label_objective,
    lidar_objective,
    pair_objective,
    projection_objective,
)

LABEL = torch.tensor([0.0, 1.0])
LOG_ODDS_3 = math.log(3)  # a logit of ln 3 is a probability of 3/4


class Pick(nn.Module):
    """Answer with what `pick` takes from the inputs."""

    def __init__(self, pick) -> None:
        super().__init__()
        self.pick = pick
        self.logit_scale = torch.tensor(1.0)

    def forward(self, *inputs):
        return self.pick(*inputs)


def test_binary_losses_literally():
    logits = torch.tensor([LOG_ODDS_3, LOG_ODDS_3])
    batch = Batch(torch.zeros(2), logits, LABEL)
    expected = (-math.log(1 / 4) - math.log(3 / 4)) / 2  # three quarters sure of class 1; right once
    assert pair_objective(Pick(lambda rgb, lidar: lidar), batch)[0].item() == pytest.approx(expected)
    assert lidar_objective(Pick(lambda lidar: lidar), batch)[0].item() == pytest.approx(expected)
    assert label_objective(Pick(lambda inputs: inputs), Examples(logits, LABEL))[0].item() == pytest.approx(expected)


def test_pair_objective_passes_rgb_first():
    batch = Batch(torch.tensor([-50.0, 50.0]), torch.zeros(2), LABEL)
    assert pair_objective(Pick(lambda rgb, lidar: rgb), batch)[0].item() == pytest.approx(0, abs=1e-9)


def test_projection_loss_is_the_mean_over_all_values():
    batch = Examples(torch.tensor([[1.0, 2.0], [3.0, 4.0]]), torch.tensor([[1.0, 0.0], [3.0, 0.0]]))
    assert projection_objective(nn.Identity(), batch)[0].item() == (0 + 4 + 0 + 16) / 4


def test_contrastive_objective_takes_both_modalities_and_the_scale():
    batch = Batch(torch.eye(2), torch.eye(2), LABEL)
    model = Pick(lambda rgb, lidar: (rgb, lidar))
    assert contrastive_objective(model, batch)[0].item() == pytest.approx(math.log(1 + math.exp(-1)))
    model.logit_scale = torch.tensor(10.0)
    assert contrastive_objective(model, batch)[0].item() == pytest.approx(math.log(1 + math.exp(-10)), rel=1e-3)


def test_outputs_are_what_the_net_gave():
    logits, embeddings = torch.tensor([0.5, -2.0]), torch.tensor([[1.0, 0.0], [0.0, 1.0]])
    pairs = Batch(embeddings, logits, LABEL)
    assert pair_objective(Pick(lambda rgb, lidar: lidar), pairs)[1].equal(logits)
    assert lidar_objective(Pick(lambda lidar: lidar), pairs)[1].equal(logits)
    assert label_objective(Pick(lambda inputs: inputs), Examples(logits, LABEL))[1].equal(logits)
    assert projection_objective(nn.Identity(), Examples(embeddings, 2 * embeddings))[1].equal(embeddings)
    batch = Batch(embeddings, -embeddings, LABEL)
    rgb, lidar = contrastive_objective(Pick(lambda rgb, lidar: (rgb, lidar)), batch)[1]
    assert rgb.equal(embeddings) and lidar.equal(-embeddings)


def test_a_large_batch_is_embedded_in_chunks_to_equal_gradients(monkeypatch):
    draw = torch.Generator().manual_seed(0)
    batch = Batch(torch.randn(7, 4, 64, 64, generator=draw), torch.randn(7, 1, 64, 64, generator=draw), torch.zeros(7))
    sizes: list[int] = []

    def gradients(norm: str) -> list[torch.Tensor]:
        sizes.clear()
        net = build_seeded(0, lambda: CILP([2], [], 8, 4.0, norm))
        net.rgb.register_forward_hook(lambda module, inputs, output: sizes.append(len(output)))
        contrastive_objective(net, batch)[0].backward()
        return [each.grad for each in net.parameters()]

    whole = gradients("none")
    monkeypatch.setattr(objectives, "MAX_EMBEDDED", 3)
    for found, expected in zip(gradients("none"), whole, strict=True):
        torch.testing.assert_close(found, expected, rtol=0, atol=1e-6)
    assert sorted(sizes) == [1, 1, 3, 3, 3, 3]  # each chunk once for the loss and once for its gradient
    gradients("batch")
    assert sizes == [7]  # its statistics are of the whole batch

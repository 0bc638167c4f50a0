"""Metrics of embedders whose temperature has run away: a number that the training loop refuses, no error."""

from math import inf

import torch

from pipeline.data.arrays import Batch, Batches
from pipeline.models.cilp import CILP
from pipeline.transfer.scores import cilp_metrics


def test_a_temperature_without_bound_is_infinite() -> None:
    net = CILP([2], [], 3, 0.07).eval()
    torch.nn.init.constant_(net.log_logit_scale, -1000.0)
    pairs = Batch(torch.rand(4, 4, 64, 64), torch.rand(4, 1, 64, 64), torch.tensor([0.0, 1.0, 0.0, 1.0]))
    batches = Batches(lambda rows: Batch(*(each[rows] for each in pairs)), torch.arange(4).reshape(2, 2), 4)
    assert cilp_metrics(net, batches, 4)["temperature"] == inf

"""Metrics of the chain's nets: in chunks as in one, and of a temperature that has run away, which is no error."""

from math import inf

import pytest
import torch

from pipeline.data.arrays import Batch, Batches, Examples
from pipeline.models.cilp import CILP
from pipeline.transfer.scores import cilp_metrics, projector_metrics


def test_a_temperature_without_bound_is_infinite() -> None:
    net = CILP([2], [], 3, 0.07).eval()
    torch.nn.init.constant_(net.log_logit_scale, -1000.0)
    pairs = Batch(torch.rand(4, 4, 64, 64), torch.rand(4, 1, 64, 64), torch.tensor([0.0, 1.0, 0.0, 1.0]))
    batches = Batches(lambda rows: Batch(*(each[rows] for each in pairs)), torch.arange(4).reshape(2, 2), 4)
    assert cilp_metrics(net, batches, 4)["temperature"] == inf


def test_a_projector_has_its_metrics_of_many_pairs_chunk_by_chunk(monkeypatch: pytest.MonkeyPatch) -> None:
    draw = torch.Generator().manual_seed(0)
    examples = Examples(torch.rand(7, 3, generator=draw), torch.rand(7, 3, generator=draw))
    batches, projector, sizes = Batches(examples.rows, torch.tensor([6, 0, 1, 2, 3])), torch.nn.Identity(), []
    whole = projector_metrics(projector, batches, torch.full((3,), 0.5))
    projector.register_forward_hook(lambda module, inputs, outputs: sizes.append(len(outputs)))
    monkeypatch.setattr("pipeline.transfer.scores.CHUNK_PAIRS", 2)
    assert projector_metrics(projector, batches, torch.full((3,), 0.5)) == pytest.approx(whole, rel=1e-6)
    assert sizes == [2, 2, 1]
    assert whole["loss"] == pytest.approx(float((examples.inputs - examples.targets)[[6, 0, 1, 2, 3]].square().mean()))

"""The contrastive loss: chunks of logits give the loss and the gradients of all logits at once."""

import math

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from pipeline.metrics import contrastive
from pipeline.metrics.contrastive import clip_loss, retrieval_loss


def loss_and_gradients(pairs: int) -> list[Tensor]:
    """Return the loss of random unit rows (pairs, 16) at scale 14, and its gradients of rows and scale."""
    draw = torch.Generator().manual_seed(pairs)
    rgb, lidar = F.normalize(torch.randn(2, pairs, 16, generator=draw), dim=2)
    values = [rgb.requires_grad_(), lidar.requires_grad_(), torch.tensor(14.0, requires_grad=True)]
    loss = clip_loss(*values)
    return [loss.detach(), *torch.autograd.grad(loss, values)]


@pytest.mark.parametrize("limit", [1, 40, 8 * 37, 37 * 37 - 1])  # chunks of 1, 1, 8 and 36 rows
def test_chunks_have_loss_and_gradients_of_the_whole(monkeypatch, limit: int) -> None:
    whole = loss_and_gradients(37)
    monkeypatch.setattr(contrastive, "MAX_LOGITS", limit)
    for found, expected in zip(loss_and_gradients(37), whole, strict=True):
        torch.testing.assert_close(found, expected, rtol=1e-6, atol=1e-6)
        assert expected.abs().max() > 0.01


def test_chunks_begin_beyond_the_limit(monkeypatch) -> None:
    chunks: list[tuple[int, ...]] = []
    inner = contrastive._chunk_loss
    monkeypatch.setattr(contrastive, "MAX_LOGITS", 64)
    monkeypatch.setattr(
        contrastive, "_chunk_loss", lambda rows, *others: chunks.append(tuple(rows.shape)) or inner(rows, *others)
    )
    loss_and_gradients(8)
    assert not chunks
    loss_and_gradients(9)
    assert chunks[:2] == [(7, 16), (2, 16)] and len(chunks) == 8  # two directions, forward and backward


def test_a_part_of_the_queries_finds_its_own_keys() -> None:
    keys = torch.eye(3)
    alone = retrieval_loss(keys[1:2], keys, 2.0, first=1)
    assert alone.item() == pytest.approx(math.log(1 + 2 * math.exp(-2)))
    assert retrieval_loss(keys, keys, 2.0).item() == pytest.approx(3 * alone.item())
    assert retrieval_loss(keys[:0], keys, 2.0, first=3).item() == 0

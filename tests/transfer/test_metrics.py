"""Metrics of embeddings and projections by literal answers, and at chance where nothing is known."""

import math

import pytest
import torch

from pipeline.core.errors import PipelineError
from pipeline.transfer.metrics import (
    alignment_uniformity,
    contrastive_metrics,
    mean_by_chunk,
    projection_metrics,
    retrieval_metrics,
    retrieval_ranks,
)


def test_ranks_literally():
    queries = torch.tensor([[1.0, 0.0], [0.0, 1.0], [1.0, 1.0]])
    keys = torch.tensor([[1.0, 0.0], [2.0, 0.5], [3.0, 3.0]])
    # row 0: 1, 2, 3 -> own is last; row 1: 0, .5, 3 -> second; row 2: 1, 2.5, 6 -> first
    assert retrieval_ranks(queries, keys).tolist() == [2, 1, 0]


def test_retrieval_both_ways_beside_chance():
    rgb = torch.eye(10)
    lidar = torch.eye(10)[[1, 0, 2, 3, 4, 5, 6, 7, 8, 9]]
    figures = retrieval_metrics(rgb, lidar)
    assert figures["top1"] == figures["top1_reverse"] == 0.8
    assert figures["chance_top1"] == 0.1 and figures["chance_top5"] == 0.5
    assert figures["mean_rank"] == pytest.approx((8 * 1 + 2 * 10) / 10)  # ties count against: two zeros are last
    assert figures["chance_mean_rank"] == 5.5


def test_embeddings_all_alike_find_nothing():
    same = torch.ones(10, 4) / 2
    figures = retrieval_metrics(same, same)
    assert figures["top1"] == figures["top5"] == 0


def test_random_embeddings_are_at_chance():
    torch.manual_seed(0)
    rgb, lidar = torch.nn.functional.normalize(torch.randn(2, 1000, 16), dim=2)
    figures = retrieval_metrics(rgb, lidar)
    assert figures["top1"] < 0.01 and figures["top5"] == pytest.approx(0.005, abs=0.007)


def test_contrastive_counts_every_pair_once():
    same = torch.nn.functional.normalize(torch.ones(5, 3), dim=1)
    # batches of 2, 2 and 1: chance of each is ln 2, ln 2 and ln 1
    figures = contrastive_metrics(same, same, 10.0, 2)
    assert figures["loss"] == pytest.approx(figures["chance_loss"]) == pytest.approx(math.log(2) * 4 / 5)


@pytest.mark.parametrize(("scale", "floor"), [(0.5, 2.970), (1.0, 2.488), (1 / 0.07, 1.2e-5)])
def test_the_floor_of_batches_of_32_is_reached_by_a_simplex(scale, floor):
    """The published floors; 32 unit vectors with cosines of -1/31 reach them, and no arrangement goes below."""
    centred = torch.eye(32, dtype=torch.float64) - 1 / 32
    rows = torch.nn.functional.normalize(centred, dim=1)
    figures = contrastive_metrics(rows, rows, scale, 32)
    assert figures["loss"] == pytest.approx(figures["floor_loss"], rel=1e-6)
    assert figures["floor_loss"] == pytest.approx(floor, rel=0.02) and figures["chance_loss"] == math.log(32)


def test_a_batch_of_one_pair_has_nothing_to_choose():
    one = torch.ones(1, 1)
    assert contrastive_metrics(one, one, 2.0, 4) == {"loss": 0.0, "chance_loss": 0.0, "floor_loss": 0.0}


def test_the_courses_loss_is_the_loss_at_scale_one_half():
    """The course takes (s + 1) / 2 for logits; the constant cancels in softmax."""
    draw = torch.Generator().manual_seed(0)
    rgb, lidar = torch.nn.functional.normalize(torch.randn(2, 32, 8, generator=draw), dim=2)
    logits, own = (rgb @ lidar.T + 1) / 2, torch.arange(32)
    expected = (torch.nn.functional.cross_entropy(logits, own) + torch.nn.functional.cross_entropy(logits.T, own)) / 2
    assert contrastive_metrics(rgb, lidar, 0.5, 32)["loss"] == pytest.approx(float(expected), rel=1e-6)


def test_geometry_literally():
    rgb = torch.tensor([[1.0, 0.0], [0.0, 1.0]])
    lidar = torch.tensor([[1.0, 0.0], [-1.0, 0.0]])
    figures = alignment_uniformity(rgb, lidar)
    assert figures["alignment"] == pytest.approx((0 + 2) / 2)  # squared distances 0 and 2
    assert figures["chance_alignment"] == pytest.approx((4 + 2) / 2)  # of the pairs that do not belong together
    assert figures["uniformity_rgb"] == pytest.approx(-2 * 2) and figures["uniformity_lidar"] == pytest.approx(-2 * 4)
    same = torch.tensor([[1.0, 0.0]] * 3)
    assert alignment_uniformity(same, same)["uniformity_rgb"] == pytest.approx(0.0)


def test_metrics_of_large_splits_are_computed_in_chunks(monkeypatch):
    """Those of a million pairs would hold matrices of 10^10 values; here chunks are of 3, 3, 3 and 1 rows."""
    draw = torch.Generator().manual_seed(0)
    rgb, noise = torch.nn.functional.normalize(torch.randn(2, 10, 4, generator=draw), dim=2)
    lidar = torch.nn.functional.normalize(rgb + 0.5 * noise, dim=1)
    whole = retrieval_metrics(rgb, lidar) | alignment_uniformity(rgb, lidar)
    monkeypatch.setattr("pipeline.metrics.contrastive.MAX_LOGITS", 30)
    monkeypatch.setattr(torch, "pdist", None)
    assert retrieval_metrics(rgb, lidar) | alignment_uniformity(rgb, lidar) == pytest.approx(whole, rel=1e-6)
    assert 1 < whole["mean_rank"] < 5 and whole["uniformity_rgb"] < -1


def test_projection_beside_the_mean():
    projected, target = torch.tensor([[0.0, 0.0], [2.0, 1.0]]), torch.tensor([[0.0, 0.0], [2.0, 2.0]])
    figures = projection_metrics([(projected, target)], train_mean=torch.tensor([1.0, 1.0]))
    assert figures["loss"] == 0.25 and figures["chance_loss"] == 1.0 and figures["r2"] == 0.75
    assert figures["chance_cosine"] == pytest.approx(0.5)  # of (0, 0), which has no direction, and of (2, 2)
    of_mean = projection_metrics([(torch.ones(2, 2), target)], train_mean=torch.tensor([1.0, 1.0]))
    assert of_mean["r2"] == 0.0
    with pytest.raises(PipelineError, match="same features"):
        projection_metrics([(target, torch.ones(2, 2))], train_mean=torch.ones(2))


def test_projections_in_chunks_count_by_pair():
    whole = torch.tensor([[0.0, 0.0], [2.0, 1.0], [3.0, 1.0]]), torch.tensor([[0.0, 0.0], [2.0, 2.0], [3.0, 4.0]])
    mean = torch.tensor([1.0, 1.0])
    chunks = zip(*(each.split([1, 2]) for each in whole), strict=True)
    assert projection_metrics(chunks, mean) == pytest.approx(projection_metrics([whole], mean), rel=1e-6)
    assert projection_metrics([whole], mean)["loss"] == pytest.approx(10 / 6)


def test_a_mean_by_chunk_counts_by_row(monkeypatch):
    values, rows = torch.tensor([[1.0, 10.0], [9.0, 9.0], [2.0, 20.0], [6.0, 60.0]]), torch.tensor([0, 2, 3])
    assert mean_by_chunk(values, rows).tolist() == [3.0, 30.0]
    monkeypatch.setattr("pipeline.transfer.metrics.CHUNK_PAIRS", 2)
    assert mean_by_chunk(values, rows).tolist() == [3.0, 30.0]

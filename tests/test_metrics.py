"""Metrics by literal tensors."""

import math

import pytest
import torch

from pipeline.errors import PipelineError
from pipeline.results.metrics import classification, contrastive, majority, prefixed, projection, ranks, retrieval


def test_classification_literally():
    logits = torch.tensor([2.0, -1.0, 0.5, -3.0])
    label = torch.tensor([1.0, 1.0, 1.0, 0.0])
    figures = classification(logits, label)
    assert figures["accuracy"] == 3 / 4
    # class 1: precision 1, recall 2/3 -> F1 4/5; class 0: precision 1/2, recall 1 -> F1 2/3
    assert figures["f1"] == pytest.approx((4 / 5 + 2 / 3) / 2)
    losses = [math.log(1 + math.exp(-x)) for x in (2.0, -1.0, 0.5, 3.0)]
    assert figures["loss"] == pytest.approx(sum(losses) / 4)


def test_one_class_for_all_is_chance_with_a_third_of_f1():
    figures = classification(torch.ones(10), torch.tensor([0.0, 1.0] * 5))
    assert figures["accuracy"] == 0.5 and figures["f1"] == pytest.approx(1 / 3)


def test_majority_is_the_share_of_the_larger_class():
    assert majority(torch.tensor([0.0, 0.0, 0.0, 1.0])) == 0.75
    assert majority(torch.tensor([1.0, 1.0, 0.0])) == pytest.approx(2 / 3)


def test_ranks_literally():
    queries = torch.tensor([[1.0, 0.0], [0.0, 1.0], [1.0, 1.0]])
    keys = torch.tensor([[1.0, 0.0], [2.0, 0.5], [3.0, 3.0]])
    # row 0: 1, 2, 3 -> own is last; row 1: 0, .5, 3 -> second; row 2: 1, 2.5, 6 -> first
    assert ranks(queries, keys).tolist() == [2, 1, 0]


def test_retrieval_both_ways_beside_chance():
    rgb = torch.eye(10)
    lidar = torch.eye(10)[[1, 0, 2, 3, 4, 5, 6, 7, 8, 9]]
    figures = retrieval(rgb, lidar)
    assert figures["top1"] == figures["top1_reverse"] == 0.8
    assert figures["chance_top1"] == 0.1 and figures["chance_top5"] == 0.5


def test_embeddings_all_alike_find_nothing():
    same = torch.ones(10, 4) / 2
    figures = retrieval(same, same)
    assert figures["top1"] == figures["top5"] == 0


def test_random_embeddings_are_at_chance():
    torch.manual_seed(0)
    rgb, lidar = torch.nn.functional.normalize(torch.randn(2, 1000, 16), dim=2)
    figures = retrieval(rgb, lidar)
    assert figures["top1"] < 0.01 and figures["top5"] == pytest.approx(0.005, abs=0.007)


def test_contrastive_counts_every_pair_once():
    same = torch.nn.functional.normalize(torch.ones(5, 3), dim=1)
    # batches of 2, 2 and 1: chance of each is ln 2, ln 2 and ln 1
    figures = contrastive(same, same, 10.0, 2)
    assert figures["loss"] == pytest.approx(figures["chance_loss"]) == pytest.approx(math.log(2) * 4 / 5)


def test_projection_beside_the_mean():
    target = torch.tensor([[0.0, 0.0], [2.0, 2.0]])
    figures = projection(torch.tensor([[0.0, 0.0], [2.0, 1.0]]), target, mean=torch.tensor([1.0, 1.0]))
    assert figures["loss"] == 0.25 and figures["chance_loss"] == 1.0 and figures["r2"] == 0.75
    of_mean = projection(torch.ones(2, 2), target, mean=torch.tensor([1.0, 1.0]))
    assert of_mean["r2"] == 0.0
    with pytest.raises(PipelineError, match="same features"):
        projection(target, torch.ones(2, 2), mean=torch.ones(2))


def test_prefixed():
    assert prefixed("val", {"loss": 1.0}) == {"val_loss": 1.0}

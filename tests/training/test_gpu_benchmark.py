"""The benchmark of GPUs: what it counts needs none, and without one it says so."""

import pytest
import torch
from torch import nn

from benchmarks.gpu import Cost, count_cost, main
from pipeline.core.errors import PipelineError


def test_a_product_reads_both_matrices_and_writes_the_third() -> None:
    left, right = torch.ones(2, 3), torch.ones(3, 4)
    assert count_cost(lambda: left @ right) == Cost(2 * 2 * 3 * 4, 4 * (6 + 12 + 8))


def test_a_repeated_operand_counts_once_and_a_view_not() -> None:
    values, row = torch.ones(5, 3), torch.ones(3)
    assert count_cost(lambda: values + row.expand(5, 3)) == Cost(0, 4 * (15 + 3 + 15))
    assert count_cost(lambda: values.t().reshape(3, 5)[1:]) == Cost(0, 0)
    assert count_cost(lambda: torch.empty(7)) == Cost(0, 0)


def test_an_operation_in_place_counts_its_tensor_once() -> None:
    values, other = torch.ones(6), torch.ones(6)
    assert count_cost(lambda: values.add_(other)) == Cost(0, 4 * (6 + 6))


def test_a_step_counts_its_backward_pass() -> None:
    layer, inputs = nn.Linear(3, 4, bias=False), torch.ones(2, 3)
    forward = count_cost(lambda: layer(inputs))
    both = count_cost(lambda: layer(inputs).sum().backward())
    assert forward.flops == 48 and both.flops == 2 * 48 and both.bytes > forward.bytes


def test_without_a_gpu_one_line_says_so(monkeypatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(PipelineError, match="found no GPU that torch can use"):
        main(["add-maxpool"], 32, 1)

"""The linear probe: a logistic regression at its optimum, whatever way the numbers were added on."""

from math import exp, log1p

import pytest
import torch

from pipeline.core.device import make_generator
from pipeline.data.arrays import Examples
from pipeline.transfer.probe import probe_metrics


def test_two_pairs_have_the_weight_of_the_formula() -> None:
    train = Examples(torch.tensor([[1.0], [3.0]]), torch.tensor([0.0, 1.0]))  # -1 and 1 once they are standardized
    test = Examples(torch.tensor([[4.0], [1.0]]), torch.tensor([1.0, 0.0]))  # 2 and -1
    weight = 0.6748316143  # solves w = 2 / (1 + exp(w)): a penalty of w^2 / 2 beside both losses
    metrics = probe_metrics(train, test)
    assert metrics["loss"] == pytest.approx((log1p(exp(-2 * weight)) + log1p(exp(-weight))) / 2, abs=1e-7)
    assert metrics["accuracy"] == 1


def test_neither_the_order_of_pairs_nor_that_of_features_changes_it() -> None:
    draw = make_generator(0)
    inputs, rows, columns = torch.randn(90, 64, generator=draw), torch.randperm(60, generator=draw), range(63, -1, -1)
    targets = (inputs[:, 0] + torch.randn(90, generator=draw) > 0).float()
    test = Examples(inputs[60:], targets[60:])
    metrics = probe_metrics(Examples(inputs[:60], targets[:60]), test)
    again = probe_metrics(
        Examples(inputs[rows][:, columns], targets[rows]), Examples(test.inputs[:, columns], test.targets)
    )
    assert again == pytest.approx(metrics, abs=2e-7)

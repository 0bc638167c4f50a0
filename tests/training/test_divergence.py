"""A loss that is no number is an error that names where it arose."""

import re
from math import inf, nan

import pytest
import torch
from torch import nn

from pipeline.config.types import Recipe
from pipeline.core.device import make_generator
from pipeline.core.errors import PipelineError
from pipeline.data.arrays import Batches, Examples
from pipeline.training.loop import Task, fit
from pipeline.training.objectives import projection_objective

RECIPE = Recipe(lr=0.05, batch_size=4, warmup_fraction=0.0, schedule="constant", grad_clip_norm=None)


@pytest.mark.parametrize("spoilt", [nan, inf])
def test_a_loss_that_is_not_finite_names_epoch_step_pairs_and_gradient(spoilt: float) -> None:
    """The batch of row 6 is spoilt in the second epoch; the first epoch is logged."""
    x, logged = torch.linspace(-1, 1, 10).unsqueeze(1), []
    examples = Examples(x, 2 * x + 1)

    def batch_fn(rows: torch.Tensor) -> Examples:
        batch = examples.rows(rows)
        return batch._replace(inputs=torch.where(rows.unsqueeze(1) == 6, spoilt, batch.inputs)) if logged else batch

    task = Task(
        nn.Linear(1, 1), projection_objective, Batches(batch_fn, torch.arange(10), 4), lambda _: {"val_loss": 0.0}
    )
    with pytest.raises(PipelineError) as refusal:
        fit(task, RECIPE, 3, 7, lambda seed, row: logged.append(row["epoch"]))
    found = re.match(
        r"the loss of seed 7 is (nan|inf) and its gradient norm (?:nan|inf) in epoch 2, step (\d) of 3, on "
        r"rows ([\d, ]+) of runs/prepare/arrays/split.tsv; expected finite "
        r"numbers; nothing was written, and earlier results stay; lower",
        str(refusal.value),
    )
    assert found and logged == [1]
    order = list(Batches(batch_fn, torch.arange(10), 4).shuffled(generator_after_an_epoch(7, 10)))
    first = next(place for place, rows in enumerate(order) if 6 in rows)
    assert int(found[2]) == first + 1 and found[3] == ", ".join(map(str, order[first].tolist()))


def generator_after_an_epoch(seed: int, rows: int) -> torch.Generator:
    generator = make_generator(seed)
    torch.randperm(rows, generator=generator)
    return generator

"""The trained nets of one cell of the fusion study, and their test metrics from the checkpoints alone."""

import torch
from torch import nn

from pipeline.core.checkpoints import restore
from pipeline.core.runs import RUNS, checkpoint_path
from pipeline.data.arrays import Arrays, Batches
from pipeline.metrics.classification import Metrics, classification_metrics
from pipeline.metrics.inference import pair_logits
from pipeline.models.fusion import FusionNet, build_fusion


def restore_cell(cell: str, seed: int, device: torch.device) -> FusionNet:
    """Restore the net of one seed of a cell such as `late-maxpool`."""
    return restore(checkpoint_path(RUNS / "fusion" / cell, seed), "fusion", build_fusion, device)


def score_cell(model: nn.Module, data: Arrays) -> Metrics:
    """Return the test metrics of a fusion net."""
    test = Batches(data.with_xyza, data.splits["test"])
    return classification_metrics(pair_logits(model, test), data.label[test.rows])

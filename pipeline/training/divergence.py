"""Numbers of a training that are no longer finite: found at the end of an epoch, named by step, pairs and gradient."""

from collections.abc import Mapping, Sequence
from math import isfinite

import torch
from torch import Tensor

from pipeline.core.errors import PipelineError

MAX_ROWS = 8  # named of a batch
FIX = "nothing was written, and earlier results stay; lower lr, or set grad_clip_norm"


class StepTrace:
    """Keep loss and gradient norm of every step of an epoch on the device, so that no step waits for it."""

    def __init__(self, steps: int, device: torch.device) -> None:
        self.values = torch.zeros(steps, 2, device=device)  # loss, norm
        self.rows: dict[int, Tensor] = {}  # (B,) of each step: rows of the prepared arrays

    def add(self, step: int, rows: Tensor, loss: Tensor, norm: Tensor) -> None:
        """Keep the loss () and the gradient norm () of `step` (from 0), which took the batch of `rows` (B,)."""
        self.values[step, 0] = loss
        self.values[step, 1] = norm
        self.rows[step] = rows

    def require_finite(self, seed: int, epoch: int) -> None:
        """Raise PipelineError for the first step whose loss or gradient is not finite."""
        finite = self.values.isfinite().all(dim=1)
        if finite.all():
            return
        step = int((~finite).nonzero()[0])
        loss, norm = self.values[step].tolist()
        raise PipelineError(
            f"the loss of seed {seed} is {loss:g} and its gradient norm {norm:g} in epoch {epoch}, step {step + 1} of "
            f"{len(finite)}, on {_format_rows(self.rows[step].tolist())} of runs/prepare/arrays/split.tsv; "
            f"expected finite numbers; {FIX}"
        )


def require_finite_metrics(metrics: Mapping[str, float], seed: int, epoch: int) -> None:
    """Raise PipelineError if a metric of an epoch is not finite, such as that of weights that have grown too far."""
    for name, value in metrics.items():
        if not isfinite(value):
            raise PipelineError(
                f"{name} of seed {seed} is {value} after epoch {epoch}, whose mean gradient norm was "
                f"{metrics['gradient_norm']:g}; expected a finite number; {FIX}"
            )


def _format_rows(rows: Sequence[int]) -> str:
    more = f" and {len(rows) - MAX_ROWS} more" if len(rows) > MAX_ROWS else ""
    return f"rows {', '.join(map(str, rows[:MAX_ROWS]))}{more}"

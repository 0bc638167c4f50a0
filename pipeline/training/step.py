"""One step of training: a batch, the gradient of its objective, clipping, Adam. A GPU records it and replays it.

A step is small, so that a GPU would wait for Python to launch its kernels. A CUDA graph launches all of them at once,
always from the same memory: so rows and learning rate are tensors that keep their place.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from pipeline.config.types import Recipe
from pipeline.core.device import autocast
from pipeline.data.arrays import BatchFn

Objective = Callable[[Any, Any], tuple[Tensor, Any]]  # objective(model, batch) -> (loss, outputs)
EAGER_STEPS = 3  # before the recording: Adam makes its state and cuDNN chooses its kernels


class Outcome(NamedTuple):
    """The result of a step, on the device. A replayed step overwrites that of the step before it."""

    loss: Tensor  # () before the weights change
    norm: Tensor  # () of the gradient before it is clipped
    outputs: Any  # of the objective
    targets: Tensor  # (B,) or (B, F): the last field of the batch


class Step:
    """Change the weights of `model` by one batch; frozen parameters, which need no gradient, are not touched."""

    def __init__(self, model: nn.Module, objective: Objective, batch_fn: BatchFn, recipe: Recipe, device: torch.device):
        self.model, self.objective, self.batch_fn, self.device = model, objective, batch_fn, device
        self.max_norm = recipe.grad_clip_norm
        self.parameters = [parameter for parameter in model.parameters() if parameter.requires_grad]
        # fused Adam reads a float32 on a GPU; on a CPU it computes with a rate of double precision
        self.lr = torch.zeros((), dtype=torch.float32 if device.type == "cuda" else torch.float64, device=device)
        self.optimizer = torch.optim.Adam(self.parameters, lr=self.lr, fused=True)

    def __call__(self, rows: Tensor, lr: float) -> Outcome:
        """Take one step on the batch of `rows` (B,) at learning rate `lr`."""
        self.lr.fill_(lr)
        return self.compute(rows)

    def compute(self, rows: Tensor) -> Outcome:
        """Take one step on the batch of `rows` (B,) at the rate in `self.lr`, without waiting for the device."""
        batch = self.batch_fn(rows)
        self.optimizer.zero_grad(set_to_none=True)
        with autocast(self.device):
            loss, outputs = self.objective(self.model, batch)
        loss.backward()
        norm = self._clip_gradient()
        self.optimizer.step()
        return Outcome(loss.detach(), norm, _detach(outputs), batch[-1])

    def _clip_gradient(self) -> Tensor:
        if self.max_norm is not None:
            return nn.utils.clip_grad_norm_(self.parameters, self.max_norm)
        return nn.utils.get_total_norm([each.grad for each in self.parameters if each.grad is not None])


class GraphStep:
    """Take the steps of a `Step` by replaying a CUDA graph: the first ones and those of another batch size run eagerly.

    The first batch sets the size. Recording runs nothing, so every batch changes the weights once.
    """

    def __init__(self, step: Step) -> None:
        self.step, self.optimizer = step, step.optimizer
        self.stream = torch.cuda.Stream(step.device)  # a graph is not recorded on the default stream
        self.graph: torch.cuda.CUDAGraph | None = None
        self.outcome: Outcome  # of the recording
        self.rows = torch.empty(0, dtype=torch.int64, device=step.device)
        self.eager_steps = 0

    def __call__(self, rows: Tensor, lr: float) -> Outcome:
        """Take one step on the batch of `rows` (B,) at learning rate `lr`; the outcome lasts until the next step."""
        if self.eager_steps == 0:
            self.rows = rows.clone()
        if len(rows) != len(self.rows) or self.eager_steps < EAGER_STEPS:
            return self._run_eagerly(rows, lr)
        if self.graph is None:
            self.graph = self._record()
        self.step.lr.fill_(lr)
        self.rows.copy_(rows)
        self.graph.replay()
        return self.outcome

    def _run_eagerly(self, rows: Tensor, lr: float) -> Outcome:
        """Take one step on the stream of the recording: autograd wants a weight's gradient on one stream."""
        self.eager_steps += 1
        current = torch.cuda.current_stream(self.step.device)
        self.stream.wait_stream(current)
        with torch.cuda.stream(self.stream):
            outcome = self.step(rows, lr)
        current.wait_stream(self.stream)
        return outcome

    def _record(self) -> torch.cuda.CUDAGraph:
        """Record a step; its gradients begin as None, so that they lie in the memory of the graph."""
        optimizer, graph = self.step.optimizer, torch.cuda.CUDAGraph()
        optimizer.zero_grad(set_to_none=True)
        optimizer.param_groups[0]["capturable"] = True  # Adam asks for it here, and warns of it in an eager step
        with torch.cuda.graph(graph, stream=self.stream):
            self.outcome = self.step.compute(self.rows)
        optimizer.param_groups[0]["capturable"] = False
        return graph


def make_step(
    model: nn.Module, objective: Objective, batch_fn: BatchFn, recipe: Recipe, device: torch.device
) -> Step | GraphStep:
    """Return the step of a training on `device`: recorded on a GPU, and on a CPU, which has no launches, not."""
    step = Step(model, objective, batch_fn, recipe, device)
    return GraphStep(step) if device.type == "cuda" else step


def read_moments(optimizer: torch.optim.Adam) -> list[dict[str, Tensor]]:
    """Return Adam's means of each parameter's gradient and of its square, with the number of steps."""
    return [optimizer.state[each] for each in optimizer.param_groups[0]["params"]]


def load_moments(optimizer: torch.optim.Adam, moments: list[dict[str, Tensor]]) -> None:
    """Load what `read_moments` returned in another process, or nothing; the learning rate stays the tensor it is."""
    optimizer.state.update(zip(optimizer.param_groups[0]["params"], moments, strict=False))


def _detach(outputs: Any) -> Any:
    """Return outputs without their history, which would hold the memory of the step: a tensor or a tuple of tensors."""
    return outputs.detach() if isinstance(outputs, Tensor) else tuple(each.detach() for each in outputs)

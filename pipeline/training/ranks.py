"""Data-parallel CILP: the processes of `torchrun`, called ranks, take together the steps that one process would take.

Each rank embeds its slice of every batch, gathers the embeddings of all slices, and computes its share of the loss:
that of its own queries. The shares add up to the loss of one process, and so do their gradients, which all ranks sum.
"""

import io
import os
import signal
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.nn import functional as F

from pipeline.config.types import Recipe
from pipeline.core.device import precision_name
from pipeline.core.errors import PipelineError, printable
from pipeline.data.arrays import Batches
from pipeline.metrics.contrastive import retrieval_loss
from pipeline.training.loop import FitResult, LogFn, Task, Trainer, fit, fit_seeds
from pipeline.training.objectives import ContrastiveNet, embed_pairs
from pipeline.training.states import State, StateFile, States, read_state, training_key


class Slice(NamedTuple):
    """The pairs of a batch that one rank embeds."""

    rgb: Tensor  # (b, 4, H, W) RGBA in [0, 1]
    lidar: Tensor  # (b, 1, H, W) depth; Omniverse units
    first: int  # the place of its first pair in the batch
    pairs: int  # B, of the batch
    label: Tensor  # (b,) 0.0 cube, 1.0 sphere


@contextmanager
def join_ranks(device: torch.device) -> Iterator[Trainer]:
    """Yield the trainer of this process: `fit`, or among the ranks of `torchrun` `fit_on_ranks`.

    Raises PipelineError if this rank has no GPU of its own.
    """
    if not dist.is_torchelastic_launched():
        yield fit
        return
    if device.type == "cuda":
        _take_gpu(int(os.environ["LOCAL_RANK"]))
    dist.init_process_group("nccl" if device.type == "cuda" else "gloo")
    try:
        yield fit_on_ranks
    finally:
        dist.destroy_process_group()


def follow(tasks: Mapping[int, Task], recipe: Recipe, epochs: int, device: torch.device) -> bool:
    """Train every seed's task for rank 0, which keeps the results, and return True; on rank 0 do nothing."""
    if not dist.is_initialized() or dist.get_rank() == 0:
        return False
    signal.signal(signal.SIGTERM, signal.SIG_DFL)  # it has nothing to save, and may be waiting for a rank that is gone
    fit_seeds(tasks, recipe, epochs, lambda seed, metrics: None, device, fit_on_ranks)
    return True


def fit_on_ranks(task: Task, recipe: Recipe, epochs: int, seed: int, log: LogFn) -> FitResult:
    """Minimise the CLIP loss as `fit` does, by all ranks together, which call this with equal arguments.

    Batch normalization layers of the model are replaced by those that normalize over all ranks. Raises
    PipelineError if another rank is lost.
    """
    normalize_over_ranks(task.model)
    weights = [each for each in task.model.parameters() if each.requires_grad]
    handles = [each.register_post_accumulate_grad_hook(_sum_gradient) for each in weights]
    shared = replace(
        task,
        objective=slice_objective,
        batches=slice_batches(task.batches),
        states=RankStates(task.states.folder, f"{task.states.inputs}, {dist.get_world_size()} ranks"),
    )
    try:
        return fit(shared, recipe, epochs, seed, log)
    finally:
        for handle in handles:
            handle.remove()


def slice_batches(batches: Batches) -> Batches:
    """Return batches of equal rows, of which this rank computes its `Slice` alone."""

    def slice_of_rank(rows: Tensor) -> Slice:
        parts = rows.tensor_split(dist.get_world_size())  # as even as can be; no pair is repeated to fill a slice
        batch = batches.batch_fn(parts[dist.get_rank()])
        first = sum(map(len, parts[: dist.get_rank()]))
        return Slice(batch.rgb, batch.lidar, first, len(rows), batch.label)

    return Batches(slice_of_rank, batches.groups, batches.count * batches.groups.shape[1])


def slice_objective(model: ContrastiveNet, batch: Slice) -> tuple[Tensor, tuple[Tensor, Tensor]]:
    """Return the CLIP loss of the whole batch, with the gradient of this rank's share, and its embeddings (b, D)."""
    rgb, lidar = embed_pairs(model, batch.rgb, batch.lidar)
    every_rgb, every_lidar = (_gather(each, batch) for each in (rgb, lidar))  # (B, D)
    directions = ((rgb, every_lidar), (lidar, every_rgb))
    losses = [retrieval_loss(*each, model.logit_scale, batch.first) for each in directions]
    return _Total.apply(torch.stack(losses).sum() / (2 * batch.pairs)), (rgb, lidar)


class RankBatchNorm2d(nn.BatchNorm2d):
    """Normalize (B, C, H, W) by the statistics of all ranks; torch's own layer for that takes GPUs alone."""

    def __init__(self, layer: nn.BatchNorm2d) -> None:
        """Take weights and running statistics from `layer`."""
        super().__init__(layer.num_features, layer.eps, layer.momentum)
        self.load_state_dict(layer.state_dict())

    def forward(self, input: Tensor) -> Tensor:
        """Return the normalized values, in the type of `input`."""
        if not self.training:
            return super().forward(input)
        values, axes = input.float(), (0, 2, 3)
        own_count = values.new_full((1,), values.numel() / self.num_features)
        totals = _Sum.apply(torch.cat([values.sum(axes), own_count]))
        mean, count = totals[:-1] / totals[-1], totals[-1]
        centred = values - mean.view(1, -1, 1, 1)
        variance = _Sum.apply(centred.square().sum(axes)) / count
        with torch.no_grad():
            momentum = self.momentum or 0.0
            self.get_buffer("running_mean").lerp_(mean, momentum)
            self.get_buffer("running_var").lerp_(variance * count / (count - 1), momentum)
            self.get_buffer("num_batches_tracked").add_(1)
        scale = self.weight * (variance + self.eps).rsqrt()
        return (centred * scale.view(1, -1, 1, 1) + self.bias.view(1, -1, 1, 1)).to(input.dtype)


def normalize_over_ranks(model: nn.Module) -> None:
    """Replace the batch normalization layers of `model` by RankBatchNorm2d of equal weights and statistics."""
    for parent in list(model.modules()):
        for name, child in parent.named_children():
            if type(child) is nn.BatchNorm2d:
                setattr(parent, name, RankBatchNorm2d(child))


class RankStateFile(StateFile):
    """A state that rank 0 saves, and that all ranks go on from."""

    def load(self, device: torch.device) -> State | None:
        """Return the newest whole state of this training on rank 0, on `device`, or None."""
        state, content = super().load(device), io.BytesIO()
        if state:
            torch.save(state._asdict(), content)
        size = torch.tensor([content.tell()], device=device)
        _complete(dist.broadcast, size, 0)
        if not size.item():
            return None
        received = torch.zeros(int(size), dtype=torch.uint8, device=device)
        if state:
            received.copy_(torch.frombuffer(content.getbuffer(), dtype=torch.uint8))
        _complete(dist.broadcast, received, 0)
        return read_state(received.cpu().numpy().tobytes(), device)


@dataclass(frozen=True)
class RankStates(States):
    """The states of a stage's trainings; rank 0 alone has a folder."""

    def file(self, seed: int, model: nn.Module, recipe: Sequence[Any], rows: Tensor) -> StateFile:
        """Return the file of a training; raises PipelineError if the ranks were about to train unlike nets."""
        about = f"{torch.__version__} {precision_name(rows.device)}"
        digest = bytes.fromhex(training_key(about, seed, model, recipe, rows))
        own = torch.tensor(list(digest), device=rows.device)
        of_rank_0 = own.clone()
        _complete(dist.broadcast, of_rank_0, 0)
        unlike = (own != of_rank_0).any().long()
        _complete(dist.all_reduce, unlike)
        if unlike.item():
            raise PipelineError(
                f"{_rank()}: found ranks of unlike torch, precision, params.yaml or split.tsv; expected equal "
                "ones; give every host this checkout and this data, and set `precision` to float32 or bfloat16"
            )
        own_file = super().file(seed, model, recipe, rows)
        return RankStateFile(own_file.path, own_file.key)


class _Sum(torch.autograd.Function):
    """Sum a tensor over all ranks. Each rank computes something else from the sum, so that gradients are summed too."""

    @staticmethod
    def forward(ctx: Any, values: Tensor) -> Tensor:
        return _sum(values)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> Tensor:
        return _sum(gradient)


class _Total(_Sum):
    """Sum the shares of a loss over all ranks. The gradient of a share is that of the total."""

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> Tensor:
        return gradient


def _gather(embeddings: Tensor, batch: Slice) -> Tensor:
    """Return the embeddings of all ranks (B, D) in the order of the batch, from those of this rank (b, D)."""
    after = batch.pairs - batch.first - len(embeddings)
    return _Sum.apply(F.pad(embeddings, (0, 0, batch.first, after)))  # zeros are added: no bit of a value changes


def _sum_gradient(weight: Tensor) -> None:
    if weight.grad is not None:
        _complete(dist.all_reduce, weight.grad)


def _sum(values: Tensor) -> Tensor:
    total = values.contiguous().clone()
    _complete(dist.all_reduce, total)
    return total


def _complete(collective: Callable[..., Any], *arguments: Any) -> None:
    """Call a function of torch.distributed; raise PipelineError if another rank has ended."""
    try:
        collective(*arguments)
    except RuntimeError as error:
        reason = str(error).strip().split("\n")[0]
        raise PipelineError(
            f"{_rank()}: found another rank lost ({printable(reason, 200)}); expected all of them to the end; start "
            "the command again, and the training goes on from its last state"
        ) from None


def _rank() -> str:
    return f"rank {dist.get_rank()} of {dist.get_world_size()}"


def _take_gpu(local_rank: int) -> None:
    found = torch.cuda.device_count()
    if local_rank >= found:
        raise PipelineError(
            f"rank {os.environ['RANK']}: found {found} GPUs on this host; expected one for each of its "
            f"{os.environ['LOCAL_WORLD_SIZE']} ranks; start torchrun with --nproc-per-node={found}"
        )
    torch.cuda.set_device(local_rank)

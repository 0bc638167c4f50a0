"""Measure training on a GPU: recorded steps beside eager ones, and how near they come to what the GPU can do.

    python -m benchmarks.gpu [--cell add-maxpool --cell add-strided] [--batch-size 32] [--steps 200]

Needs a GPU and no data: pictures are random, and no time depends on their values. The roofs are the speeds of one large
matrix product and of one large copy in the same run. A step's operations and bytes are counted, not measured: each
operation reads its inputs and writes its outputs once, as if there were no cache.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from statistics import median
from time import perf_counter
from typing import Annotated, Any, NamedTuple

import torch
import typer
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode  # the name under which torch's notes document it
from torch.utils.flop_counter import FlopCounterMode

from pipeline.config.params import Params, load_params
from pipeline.core.device import build_seeded, device_name, precision, setup_device, to_device
from pipeline.core.errors import PipelineError, run_command
from pipeline.data.arrays import Arrays
from pipeline.data.geometry import ray_directions
from pipeline.models.fusion import build_fusion
from pipeline.training.objectives import pair_objective
from pipeline.training.step import EAGER_STEPS, GraphStep, Step

PAIRS, SIDE = 1400, 64
ROUNDS = 5
MATRIX, COPY = 8192, 2**30  # rows of the square matrices, bytes of the copied tensor


class Roofs(NamedTuple):
    """The highest speeds that this GPU reached in this run."""

    flops_per_s: float
    bytes_per_s: float


class Cost(NamedTuple):
    """The counted work of one step."""

    flops: int
    bytes: int


class ByteCounter(TorchDispatchMode):
    """Count the bytes that operations read and write, each of their tensors once; views and `empty` touch none."""

    def __init__(self) -> None:
        super().__init__()
        self.bytes = 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Sequence[Any] = (), kwargs: Any = None) -> Any:
        outcome = func(*args, **(kwargs or {}))
        name = func.__name__.split(".")[0]
        inputs = list(_tensors([args, kwargs or {}]))
        memory = {_memory(each) for each in inputs}
        outputs = list(_tensors(outcome))
        in_place = name.endswith("_")
        if "empty" not in name and (in_place or not outputs or any(_memory(each) not in memory for each in outputs)):
            self.bytes += sum(_size(each) for each in {id(each): each for each in [*inputs, *outputs]}.values())
        return outcome


def count_cost(call: Callable[[], object]) -> Cost:
    """Return the floating-point operations of products and convolutions in `call()`, and the bytes of everything."""
    with FlopCounterMode(display=False) as flops, ByteCounter() as counter:
        call()
    return Cost(flops.get_total_flops(), counter.bytes)


def _tensors(value: Any) -> Iterator[Tensor]:
    if isinstance(value, Tensor):
        yield value
    elif isinstance(value, Mapping):
        yield from _tensors(list(value.values()))
    elif isinstance(value, list | tuple):
        for each in value:
            yield from _tensors(each)


def _memory(tensor: Tensor) -> int:
    return tensor.untyped_storage().data_ptr()


def _size(tensor: Tensor) -> int:
    """Return the bytes of a tensor in memory; those that it repeats count once."""
    return min(tensor.numel() * tensor.element_size(), tensor.untyped_storage().nbytes())


def random_pairs(device: torch.device) -> Arrays:
    """Return PAIRS random pairs on `device`."""
    generator, angles = torch.Generator().manual_seed(0), torch.linspace(-0.5, 0.5, SIDE)
    rgb = torch.randint(0, 256, (PAIRS, SIDE, SIDE, 4), dtype=torch.uint8, generator=generator)
    depth = 50 * torch.rand(PAIRS, SIDE, SIDE, generator=generator)
    label = torch.randint(0, 2, (PAIRS,), generator=generator).float()
    rays = ray_directions(angles, angles)
    stats = [0.5] * 3, [0.3] * 3, 25.0, 14.0
    return Arrays(rgb.to(device), depth.to(device), label.to(device), {}, rays.to(device), {}, *stats)


def make_steps(params: Params, cell: str, batch_size: int, device: torch.device) -> tuple[Step, GraphStep]:
    """Return an eager and a recorded step of one cell, each of a net of its own with equal first weights."""
    if cell not in params.matrix:
        raise PipelineError(f"--cell: found {cell}; expected one of {', '.join(params.matrix)}")
    fusion, downsample = params.matrix[cell].fusion, params.matrix[cell].downsample
    data, recipe = random_pairs(device), replace(params.fusion, batch_size=batch_size)

    def step() -> Step:
        net = build_seeded(0, lambda: build_fusion(fusion, downsample, params.fusion.nets[fusion], **data.input_stats))
        return Step(to_device(net, device).train(), pair_objective, data.with_xyza, recipe, device)

    return step(), GraphStep(step())


def seconds(call: Callable[[], object], times: int, device: torch.device) -> float:
    """Return the mean seconds of `times` calls, the work on the device included."""
    torch.cuda.synchronize(device)
    start = perf_counter()
    for _ in range(times):
        call()
    torch.cuda.synchronize(device)
    return (perf_counter() - start) / times


def measure_roofs(device: torch.device) -> Roofs:
    """Return the best of ROUNDS speeds of a large matrix product in the precision of training and of a large copy."""
    left, right = (torch.randn(MATRIX, MATRIX, device=device, dtype=precision(device)) for _ in range(2))
    source = torch.zeros(COPY, dtype=torch.uint8, device=device)
    target = torch.empty_like(source)
    product, copy = (
        min(seconds(call, 10, device) for _ in range(ROUNDS))
        for call in (lambda: left @ right, lambda: target.copy_(source))
    )
    return Roofs(2 * MATRIX**3 / product, 2 * COPY / copy)


def measure_cell(params: Params, cell: str, batch_size: int, steps: int, roofs: Roofs, device: torch.device) -> None:
    """Print the rows of one cell: the eager and the recorded steps, which take turns."""
    eager, graph = make_steps(params, cell, batch_size, device)
    rows = torch.arange(batch_size, device=device)
    for _ in range(EAGER_STEPS + 1):  # the last one records
        eager(rows, 1e-4)
        graph(rows, 1e-4)
    cost = count_cost(lambda: eager(rows, 1e-4))
    calls: dict[str, Callable[[], object]] = {"eager": lambda: eager(rows, 1e-4), "graph": lambda: graph(rows, 1e-4)}
    times: dict[str, list[float]] = {name: [] for name in calls}
    for _ in range(ROUNDS):
        for name, call in calls.items():
            times[name].append(seconds(call, steps, device))
    for name, durations in times.items():
        step_s, ratio = median(durations), median(times["eager"]) / median(durations)
        compute, memory = cost.flops / step_s / roofs.flops_per_s, cost.bytes / step_s / roofs.bytes_per_s
        columns = (cell, name, f"{batch_size / step_s:,.0f}", f"{1000 * step_s:.3f}", f"x{ratio:.2f}")
        print(f"| {' | '.join(columns)} | {compute:.1%} | {memory:.1%} |")


def main(
    cell: Annotated[list[str], typer.Option()] = ["add-maxpool", "add-strided"],  # noqa: B006  (typer copies it)
    batch_size: Annotated[int, typer.Option(min=1, max=PAIRS)] = 32,
    steps: Annotated[int, typer.Option(min=1)] = 200,
) -> None:
    """Print a table of medians."""
    device, params = setup_device(), load_params()
    if device.type != "cuda":
        raise PipelineError("found no GPU that torch can use; expected one, for there is nothing else to measure")
    roofs = measure_roofs(device)
    print(f"{device_name(device)}, {precision(device)}, torch {torch.__version__}, batches of {batch_size}")
    print(f"roofs: {roofs.flops_per_s / 1e12:.1f} TFLOP/s, {roofs.bytes_per_s / 1e9:,.0f} GB/s\n")
    print("| cell | steps | samples/s | ms/step | faster than eager | of the compute roof | of the memory roof |")
    print("|---|---|---|---|---|---|---|")
    for name in cell:
        measure_cell(params, name, batch_size, steps, roofs, device)


if __name__ == "__main__":
    run_command(main)

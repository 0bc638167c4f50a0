"""Measure the latency of one checkpoint in torch and in ONNX Runtime, one input at a time and 256, on one thread.

    python -m benchmarks.latency runs/classify/full/models/seed0.safetensors

Needs the raw data in data/. Variants take turns, so that a noisy machine troubles all alike.
"""

import tempfile
from collections.abc import Callable
from pathlib import Path
from statistics import median
from time import perf_counter

import torch

from pipeline.core.device import autocast, precision_name
from pipeline.core.errors import run_command
from pipeline.tools.inference.deployable import Deployable, load_deployable
from pipeline.tools.inference.onnx_export import describe, onnx_session, real_inputs, write_onnx


def variants(deployable: Deployable, onnx: Path, values: list) -> dict[str, Callable[[], object]]:
    """Return the calls to time: each takes arrays as the files hold them, and ends with logits in memory."""
    tensors = [torch.from_numpy(each) for each in values]
    runtime, named = onnx_session(onnx), dict(zip(deployable.sensors, values, strict=True))

    def plain() -> torch.Tensor:
        with torch.inference_mode():
            return deployable.module(*tensors)

    def mixed() -> torch.Tensor:
        with torch.inference_mode(), autocast(torch.device("cpu")):
            return deployable.module(*tensors)

    name = precision_name(torch.device("cpu"))
    return {
        "torch float32": plain,
        f"torch {name} autocast": mixed,
        "ONNX Runtime float32": lambda: runtime.run(None, named),
    }


def measure_latency(deployable: Deployable, onnx: Path, values: list, rounds: int) -> dict[str, list[float]]:
    """Return milliseconds of every variant, in `rounds` rounds of all in turn; a round before warms up."""
    calls = variants(deployable, onnx, values)
    times: dict[str, list[float]] = {name: [] for name in calls}
    for turn in range(rounds + 1):
        for name, call in calls.items():
            start = perf_counter()
            call()
            if turn:
                times[name].append(1000 * (perf_counter() - start))
    return times


def main(checkpoint: Path, data: Path = Path("data"), rounds: int = 40) -> None:
    """Print a table of medians."""
    torch.set_num_threads(1)
    deployable = load_deployable(checkpoint, torch.device("cpu"))
    with tempfile.TemporaryDirectory() as folder:
        onnx = Path(folder) / "model.onnx"
        write_onnx(deployable, onnx, describe(checkpoint, deployable))
        inputs = real_inputs(data, deployable.sensors)
        print("| batch | variant | median ms | 5% .. 95% ms | faster than torch float32 |\n|---|---|---|---|---|")
        for size in (1, len(inputs[0])):
            turns = rounds if size == 1 else max(5, rounds // 8)
            times = measure_latency(deployable, onnx, [each[:size] for each in inputs], turns)
            base = median(times["torch float32"])
            for name, durations in times.items():
                low, high = (sorted(durations)[round(part * (len(durations) - 1))] for part in (0.05, 0.95))
                middle = median(durations)
                print(f"| {size} | {name} | {middle:.2f} | {low:.2f} .. {high:.2f} | x{base / middle:.2f} |")


if __name__ == "__main__":
    run_command(main)

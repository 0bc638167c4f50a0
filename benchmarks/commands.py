"""Rows without training: preparing data, starting a command, and inference."""

import os
import resource
import subprocess
import sys
from pathlib import Path
from statistics import median
from typing import Any

import torch

from benchmarks.latency import measure_latency
from benchmarks.prepare import BASELINES, measure_rounds
from benchmarks.results import Row
from benchmarks.workloads import read_params
from pipeline.core.checkpoints import save_checkpoint
from pipeline.data.arrays import load_arrays
from pipeline.models.fusion import build_fusion
from pipeline.tools.inference.deployable import load_deployable
from pipeline.tools.inference.onnx_export import describe, real_inputs, write_onnx

CPU = torch.device("cpu")
STARTS = {
    "start of a stage": [sys.executable, "-c", "import stages.fusion"],
    "`dvc repro` with nothing to do": ["dvc", "repro", "--quiet"],
}
TORCH_ALONE = [sys.executable, "-c", "import torch"]


def measure_prepare(source: Path, out: Path, rounds: int) -> list[Row]:
    """Measure check and prepare beside loops that read one pair after the other."""
    seconds = {work: [row[0] for row in rows] for work, rows in measure_rounds(source, out, rounds).items()}
    pairs = 2 * len(list((source / "cubes" / "rgb").iterdir()))
    return [
        Row(f"{pairs:,} pairs", work.__name__, "seconds", seconds[work], baseline.__name__, seconds[baseline])
        for work, baseline in BASELINES.items()
        if work is not baseline
    ]


def measure_starts(rounds: int) -> list[Row]:
    """Measure commands that compute nothing beside an import of torch.

    `dvc repro` is measured only where it has nothing to do.
    """
    commands = {"torch": TORCH_ALONE} | {
        name: command for name, command in STARTS.items() if command[0] != "dvc" or _nothing_to_do()
    }
    seconds: dict[str, list[float]] = {name: [] for name in commands}
    for _ in range(rounds):
        for name, command in commands.items():
            seconds[name].append(_processor_seconds(command))
    base = seconds.pop("torch")
    return [Row(name, "this project", "CPU seconds", own, "`import torch`", base) for name, own in seconds.items()]


def _nothing_to_do() -> bool:
    """Return whether every output is there and up to date; in a fresh clone none is."""
    done = subprocess.run(["dvc", "status", "--json"], capture_output=True, text=True)
    return done.returncode == 0 and done.stdout.strip() == "{}" and Path("runs/prepare/arrays").is_dir()


def _processor_seconds(command: list[str]) -> float:
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL, env=os.environ | {"OMP_NUM_THREADS": "1"})
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def measure_inference(home: Path, rounds: int) -> list[Row]:
    """Measure the published concat net on raw pairs, one and 256 at a time, on one thread."""
    torch.set_num_threads(1)
    data, widths = load_arrays(home / "arrays", CPU), dict(read_params("published").fusion.nets["concat"])
    net: dict[str, Any] = {"fusion": "concat", "downsample": "maxpool", "widths": widths, **data.input_stats}
    checkpoint, onnx = home / "net.safetensors", home / "net.onnx"
    about = {"kind": "fusion", "net": net, "angles": data.angles}
    save_checkpoint(checkpoint, build_fusion(**net).state_dict(), about)  # random weights: they cost as much
    deployable = load_deployable(checkpoint, CPU)
    write_onnx(deployable, onnx, describe(checkpoint, deployable))
    inputs, rows = real_inputs(home / "raw", deployable.sensors), []
    for size in (1, len(inputs[0])):
        values = [each[:size] for each in inputs]
        times = measure_latency(deployable, onnx, values, rounds * (10 if size == 1 else 1))
        base = times.pop("torch float32")
        what = f"concat, maxpool, batch of {size}"
        rows += [Row(what, name, "ms", _thirds(own), "torch float32", _thirds(base)) for name, own in times.items()]
    return rows


def _thirds(values: list[float]) -> list[float]:
    """Return the medians of three consecutive parts, each of a third of the rounds."""
    count = len(values) // 3
    return [median(values[start : start + count]) for start in (0, count, 2 * count)]

"""Time `check` and `prepare` beside the loops that people write, over the same files, in one run.

python -m benchmarks.prepare [--scenes 10000] [--rounds 3] [--folder DIR]
"""

import multiprocessing
import resource
import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path
from statistics import median
from time import perf_counter
from typing import Annotated

import numpy as np
import typer
from PIL import Image

from pipeline.raw.index import index_folder, list_pairs
from pipeline.raw.prepare import prepare
from pipeline.raw.splitting import split_by_scene
from pipeline.raw.validate import validate_folder
from pipeline.tools.simulator.simulate import simulate

FRACTIONS = {"train": 0.7, "val": 0.1, "test": 0.2}


def split(scenes: np.ndarray, _: np.ndarray) -> dict[int, str]:
    return split_by_scene(scenes, FRACTIONS, seed=0)


def loop(folder: Path, out: Path) -> None:
    """Read one pair after the other, and check nothing."""
    for pair in list_pairs(folder):
        np.array(Image.open(pair.rgb))
        np.load(pair.lidar)


def loop_and_save(folder: Path, out: Path) -> None:
    """Read one pair after the other into lists, and save two arrays."""
    pairs = list_pairs(folder)
    rgb, depth = [], []
    for pair in pairs:
        rgb.append(np.array(Image.open(pair.rgb)))
        depth.append(np.load(pair.lidar))
    out.mkdir()
    np.save(out / "rgb.npy", np.stack(rgb))
    np.save(out / "depth.npy", np.stack(depth))


def check_all(folder: Path, out: Path) -> None:
    """Run the checks of `python -m pipeline check`."""
    assert not validate_folder(index_folder(folder), split).errors


def prepare_all(folder: Path, out: Path) -> None:
    """Run the work of the stage `prepare`: all checks, and the arrays."""
    prepare(folder, out, split)


BASELINES = {loop: loop, check_all: loop, loop_and_save: loop_and_save, prepare_all: loop_and_save}


def measure(work: Callable[[Path, Path], None], folder: Path, out: Path, results: multiprocessing.Queue) -> None:
    """Put (seconds, peak memory of this process, of its largest child; MB); runs in a process of its own."""
    start = perf_counter()
    work(folder, out)
    seconds = perf_counter() - start
    peaks = [resource.getrusage(who).ru_maxrss / 1024 for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    results.put((seconds, *peaks))


def measure_rounds(source: Path, out: Path, rounds: int) -> dict[Callable[[Path, Path], None], list[tuple[float, ...]]]:
    """Return what `measure` puts of every work, in `rounds` rounds of all in turn; a round before warms the cache."""
    spawn = multiprocessing.get_context("spawn")
    measured: dict[Callable[[Path, Path], None], list[tuple[float, ...]]] = {work: [] for work in BASELINES}
    for turn in range(rounds + 1):
        for work in BASELINES:
            results = spawn.Queue()
            process = spawn.Process(target=measure, args=(work, source, out, results))
            process.start()
            result = results.get()
            process.join()
            shutil.rmtree(out, ignore_errors=True)
            if turn:
                measured[work].append(result)
    return measured


def main(
    scenes: Annotated[int, typer.Option(help="To simulate; two pairs each.")] = 10_000,
    rounds: Annotated[int, typer.Option(help="Rounds of all four in turn; printed are medians.")] = 3,
    folder: Annotated[Path | None, typer.Option(help="A raw folder instead.")] = None,
) -> None:
    with tempfile.TemporaryDirectory() as home:
        source = folder or Path(home) / "data"
        if folder is None:
            simulate(source, scenes, seed=0)
        pairs = len(list_pairs(source))
        measured = measure_rounds(source, Path(home) / "out", rounds)
    medians = {work: [median(column) for column in zip(*rows, strict=True)] for work, rows in measured.items()}
    print(f"{pairs:,} pairs, medians of {rounds} rounds")
    print("                seconds  pairs/s  speed / its loop's  peak MB: itself, a child")
    for work, baseline in BASELINES.items():
        seconds, itself, child = medians[work]
        speed = medians[baseline][0] / seconds
        print(f"{work.__name__:14}  {seconds:7.2f}  {pairs / seconds:7,.0f}  {speed:18.2f}  {itself:6.0f}, {child:.0f}")


if __name__ == "__main__":
    typer.run(main)

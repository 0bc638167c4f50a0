"""Measure the memory of prepare, trainings and evaluations over more and more pairs: that of each process its own.

python -m benchmarks.memory [--pairs 10000 --pairs 100000 --pairs 1000000] [--slow-pairs 100000] [--folder DIR]

Memory is the peak of RssAnon in /proc: the page cache, which holds what it can of the arrays, is not counted. Arrays of
more pairs than were simulated are sparse files: their first pairs are simulated, the others zeros that take no disk.
"""

import multiprocessing
import os
import resource
import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import replace
from functools import partial
from pathlib import Path
from time import sleep
from typing import Annotated, Any
from unittest.mock import patch

import numpy as np
import psutil
import torch
import typer
from torch import Tensor
from torch.nn import functional as F

from benchmarks.workloads import DEFAULT, Net, make_data, our_training, read_params
from pipeline.config.types import Recipe
from pipeline.core.device import build_seeded, setup_device
from pipeline.core.runs import RUNS
from pipeline.data.arrays import Arrays, Batches, Examples, load_arrays
from pipeline.data.splits import write_splits
from pipeline.evaluation.scores import score_chain
from pipeline.metrics.inference import pair_logits, store_outputs
from pipeline.raw import prepare as raw_prepare
from pipeline.raw import validate as raw_validate
from pipeline.raw.format import pair_at
from pipeline.raw.index import FolderIndex, Rows, index_folder
from pipeline.raw.prepare import prepare
from pipeline.raw.scan import BLOCK_ROWS, FRAME_SPECS, Block, allocate_arrays, scan_rows
from pipeline.raw.splitting import make_splitter, split_by_scene
from pipeline.tools.simulator.simulate import simulate
from pipeline.training.loop import Task, fit
from pipeline.training.objectives import pair_objective, projection_objective
from pipeline.transfer.chain import Chain, build_untrained_chain
from pipeline.transfer.metrics import alignment_uniformity, contrastive_metrics, mean_by_chunk, retrieval_metrics
from pipeline.transfer.scores import lidar_features, projector_metrics

PAIRS = [10_000, 100_000, 1_000_000]
BASE_SCENES = 500  # simulated, of which larger sets are made
STEPS = 200  # of the training: later ones take no more memory
SAMPLED_EVERY = 0.02  # seconds
FRACTIONS = {"train": 0.7, "val": 0.1, "test": 0.2}
CONCAT = Net("concat", DEFAULT, "concat")
# few channels but in their outputs, which are as wide as those of the default: what is kept of a pair is as large
NARROW: dict[str, dict[str, Any]] = {
    "lidar": {"channels": [4, 4, 4, 200], "head_dims": [100]},
    "cilp": {"channels": [4, 4, 4], "hidden_dims": [], "embed_dim": 200, "temperature": 0.07},
    "project": {"embed_dim": 200, "hidden_dims": [1000, 500], "target_dim": 3200},
}


class Enough(Exception):
    """Raised to end a training after STEPS."""


def make_arrays(base: Path, folder: Path, pairs: int) -> None:
    """Write arrays of `pairs` pairs, the first of which are those in `base`; rgb.npy and depth.npy are sparse."""
    folder.mkdir()
    for name in ("azimuth", "zenith", "returns", "colors"):
        shutil.copy(base / f"{name}.npy", folder)
    allocate_arrays(folder, pairs)
    for name in FRAME_SPECS:
        frames = np.load(base / f"{name}.npy", mmap_mode="r")
        np.load(folder / f"{name}.npy", mmap_mode="r+")[: len(frames)] = frames
    label, scene = np.divmod(np.arange(pairs), pairs // 2)
    np.save(folder / "label.npy", label.astype(np.uint8))
    write_splits(folder / "split.tsv", label.tolist(), scene.tolist(), split_by_scene(scene, FRACTIONS, 0))


def run_prepare(home: Path, pairs: int) -> None:
    """Run the work of the stage `prepare` on true raw files."""
    simulate(home / "raw", pairs // 2, seed=0)
    prepare(home / "raw", home / "prepared", make_splitter(read_params(DEFAULT).prepare))


def run_prepare_without_frames(home: Path, pairs: int) -> None:
    """Run `prepare` for statistics drawn from those of the simulated frames, no two equal: nothing is read or written.

    All that grows with the pairs is in memory as it would be: rows, statistics, the searches, the split, the tables.
    """
    source = home / "base" / "raw"
    scenes, index = np.arange(pairs // 2), index_folder(source)
    true = np.concatenate([block.stats for block in scan_rows(source, index.rows())])
    every = FolderIndex(source, {key: scenes for key in index.scenes}, [])

    def draw_blocks(folder: Path, rows: Rows, into: Path | None) -> Iterator[Block]:
        draw = np.random.default_rng(0)
        for start in range(0, len(rows), BLOCK_ROWS):
            stats = true[draw.integers(len(true), size=min(BLOCK_ROWS, len(rows) - start))]
            stats["rgb_hash"], stats["lidar_hash"] = draw.integers(2**63, size=(2, len(stats), 2))
            stats["signature"] += draw.normal(0, 2, stats["signature"].shape)
            yield Block(start, stats, [])

    def base_pair(folder: Path, label: int, scene: int) -> Any:
        return pair_at(folder, label, scene % BASE_SCENES)

    with (
        patch.object(raw_prepare, "index_folder", lambda folder: every),
        patch.object(raw_validate, "scan_rows", draw_blocks),
        patch.object(raw_validate, "pair_at", base_pair),
    ):
        prepare(source, home / "prepared", make_splitter(read_params(DEFAULT).prepare))


def run_training(home: Path, pairs: int) -> None:
    """Begin an epoch of a fusion net on the training split."""
    data = load_arrays(home / f"arrays{pairs}", setup_device("float32"))
    recipe, build, _, batch_fn = our_training(home / f"arrays{pairs}", CONCAT)
    train = Batches(batch_fn, data.splits["train"], recipe.batch_size)
    take_steps(Task(build_seeded(0, build), pair_objective, train, lambda _: {"val_loss": 0.0}), recipe)


def take_steps(task: Task, recipe: Recipe) -> None:
    """Take the first STEPS of a training."""
    steps = iter(range(STEPS))

    def objective(model: Any, batch: Any) -> tuple[Tensor, Any]:
        if next(steps, None) is None:
            raise Enough
        return task.objective(model, batch)

    with suppress(Enough):
        fit(replace(task, objective=objective), recipe, 1, 0, lambda *_: None)


def run_evaluation(home: Path, pairs: int) -> None:
    """Compute the logits of a fusion net for the test split."""
    data = load_arrays(home / f"arrays{pairs}", setup_device("float32"))
    _, build, _, batch_fn = our_training(home / f"arrays{pairs}", CONCAT)
    pair_logits(build_seeded(0, build).eval(), Batches(batch_fn, data.splits["test"]))


def run_retrieval(home: Path, pairs: int) -> None:
    """Compute all metrics of embeddings of the validation split, drawn at random."""
    setup_device("float32")
    draw = torch.Generator().manual_seed(0)
    rgb, lidar = F.normalize(torch.randn(2, pairs // 10, 200, generator=draw), dim=2)
    contrastive_metrics(rgb, lidar, 14.0, len(rgb))
    retrieval_metrics(rgb, lidar)
    alignment_uniformity(rgb, lidar)


def run_projection(home: Path, pairs: int) -> None:
    """Do the work of the stage `project` for a seed, on features drawn at random: STEPS and the test metrics."""
    recipe, draw = read_params(DEFAULT).project, torch.Generator().manual_seed(0)
    chain, data = _narrow_chain(home, pairs)
    every_pair = Batches(lambda rows: [rows], data.all_rows)

    def store(width: int) -> Tensor:
        return store_outputs(lambda batch: torch.randn(len(batch[0]), width, generator=draw), every_pair, RUNS)

    examples = Examples(*(store(NARROW["project"][name]) for name in ("embed_dim", "target_dim")))
    train = Batches(examples.rows, data.splits["train"], recipe.batch_size)
    take_steps(Task(chain.project, projection_objective, train, lambda _: {"val_loss": 0.0}), recipe)
    mean = mean_by_chunk(examples.targets, data.splits["train"])
    projector_metrics(chain.project.eval(), Batches(examples.rows, data.splits["test"]), mean)


def run_chain_evaluation(home: Path, pairs: int) -> None:
    """Do the work of the stage `evaluate` for a chain of NARROW nets, retrieval in the test split included."""
    batch_size = read_params(DEFAULT).cilp.batch_size
    chain, data = _narrow_chain(home, pairs)
    score_chain(chain, lidar_features(chain.lidar, data), data, batch_size)


def _narrow_chain(home: Path, pairs: int) -> tuple[Chain, Arrays]:
    os.chdir(home)  # features go to a file in `runs`
    RUNS.mkdir(exist_ok=True)
    device = setup_device("float32")
    return build_untrained_chain(NARROW, 0, device), load_arrays(Path(f"arrays{pairs}"), device)


WORKS: dict[str, Callable[[Path, int], None]] = {
    "prepare": run_prepare,
    "prepare, frames left out": run_prepare_without_frames,
    f"{STEPS} steps of a training": run_training,
    "evaluation of the test split": run_evaluation,
    "retrieval in the val split": run_retrieval,
    f"projector, {STEPS} steps": run_projection,
    "evaluation of a chain": run_chain_evaluation,
}
SLOW = (run_prepare, run_chain_evaluation)


def watch(work: Callable[[], None]) -> tuple[float, float]:
    """Run `work` in a process; return the processor seconds of it and its children, and the most MB that one held."""
    spawn, peak = multiprocessing.get_context("spawn"), 0.0
    seconds = spawn.Value("d")
    process = spawn.Process(target=_run, args=(work, seconds))
    process.start()
    while process.is_alive():
        with suppress(psutil.Error):
            root = psutil.Process(process.pid)
            peak = max(peak, *(_own_memory(each.pid) for each in (root, *root.children(recursive=True))))
        sleep(SAMPLED_EVERY)
    if process.exitcode:
        raise SystemExit(process.exitcode)
    return seconds.value, peak


def _run(work: Callable[[], None], seconds: Any) -> None:
    work()
    used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    seconds.value = sum(each.ru_utime + each.ru_stime for each in used)


def _own_memory(pid: int) -> float:
    """Return the MB of memory that a process holds beside files; 0 if it has ended."""
    with suppress(OSError):
        for line in Path(f"/proc/{pid}/status").read_text().splitlines():
            if line.startswith("RssAnon"):
                return int(line.split()[1]) / 2**10
    return 0.0


def main(
    pairs: Annotated[list[int], typer.Option(help="Numbers of pairs, even ones.")] = PAIRS,
    slow_pairs: Annotated[int, typer.Option(help="The most pairs of `prepare` and of a chain.")] = 100_000,
    folder: Annotated[Path | None, typer.Option(help="Where to write; by default a temporary folder.")] = None,
    only: Annotated[list[str], typer.Option(help="Names of rows.")] = [],  # noqa: B006  (typer's way)
) -> None:
    print(f"{'':28} {'pairs':>9} {'processor seconds':>18} {'MB of a process':>16}")
    with tempfile.TemporaryDirectory(dir=folder) as name:
        home = Path(name).resolve()
        make_data(home / "base", BASE_SCENES)
        for count in pairs:
            make_arrays(home / "base" / "arrays", home / f"arrays{count}", count)
            for what, work in WORKS.items():
                if what in (only or WORKS) and (work not in SLOW or count <= slow_pairs):
                    seconds, peak = watch(partial(work, home, count))
                    print(f"{what:28} {count:9,} {seconds:18.1f} {peak:16.0f}", flush=True)
            shutil.rmtree(home / f"arrays{count}")
            shutil.rmtree(home / "prepared", ignore_errors=True)


if __name__ == "__main__":
    typer.run(main)

"""Search simulated pairs for data that cannot be true: every finding is a false alarm.

    python -m benchmarks.alarms --scenes 10000

All pairs are judged clean. The pairs of some scenes are judged again under each sensor fault of the stage `stress`. A
frame without a return is no false alarm where the fault is the range of the LiDAR: the object is out of its reach.
"""

from collections import Counter
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Annotated

import numpy as np
import torch
import typer
from tqdm import tqdm

from pipeline.config.params import load_params
from pipeline.core.errors import PipelineError, run_command
from pipeline.core.sensors import CLASSES
from pipeline.evaluation.corruptions import CORRUPTIONS, Frames
from pipeline.raw.checks.alignment import find_misaligned
from pipeline.raw.checks.plausibility import find_implausible
from pipeline.raw.frame_stats import frame_stats
from pipeline.raw.index import Rows
from pipeline.tools.simulator.rendering import ray_angles, render
from pipeline.tools.simulator.world import World, draw_scene
from pipeline.tools.simulator.writing import write_angles

SCENES_AT_ONCE = 100
TRUE_FINDING = ("lidar_range", "no-return")
Condition = tuple[str, float]  # a fault and its severity


def main(
    scenes: Annotated[int, typer.Option(help="Simulated scenes of two pairs each.")] = 10_000,
    faulty: Annotated[int, typer.Option(help="Scenes that are also judged under every fault.")] = 500,
    seed: Annotated[int, typer.Option(help="Of the scenes.")] = 41,
) -> None:
    """Print the findings of clean and faulty pairs; raises PipelineError if there is a false alarm."""
    torch.set_num_threads(1)
    faults = asdict(load_params().stress.faults)
    conditions = [(fault, float(each)) for fault, severities in faults.items() for each in severities]
    clean: list[np.ndarray] = []
    under: dict[Condition, list[np.ndarray]] = {condition: [] for condition in conditions}
    for start in tqdm(range(0, scenes, SCENES_AT_ONCE), unit="scenes", unit_scale=SCENES_AT_ONCE, disable=None):
        frames = _render(range(start, min(start + SCENES_AT_ONCE, scenes)), seed)
        clean.append(_stats(frames))
        if start < faulty:
            for fault, severity in conditions:
                corrupted = CORRUPTIONS[fault](frames, severity, torch.Generator().manual_seed(start))
                under[fault, severity].append(_stats(corrupted))
    alarms = _report("clean", clean)
    for (fault, severity), blocks in under.items() if faulty else ():
        found = _report(f"{fault} {severity:g}", blocks)
        alarms += Counter({code: count for code, count in found.items() if (fault, code) != TRUE_FINDING})
    if alarms:
        raise PipelineError(f"found false alarms: {dict(alarms)}; expected none; look at the limits in pipeline/raw")


def _render(scenes: range, seed: int) -> Frames:
    """Render the pairs of some scenes, all cubes by scene, then all spheres."""
    world = World()
    drawn = [draw_scene(seed, scene, world) for scene in scenes]
    pairs: Iterator = (render(scene, label, world) for label in range(len(CLASSES)) for scene in drawn)
    return Frames(*(torch.from_numpy(np.stack(each)) for each in zip(*pairs, strict=True)))


def _stats(frames: Frames) -> np.ndarray:
    """Return FRAME_STATS as (classes, scenes)."""
    rgb, depth = (each.numpy() for each in frames)
    return frame_stats(rgb, depth, np.ones(len(rgb), bool)).reshape(len(CLASSES), -1)


def _report(name: str, blocks: list[np.ndarray]) -> Counter[str]:
    """Print and count the findings in a set by their codes."""
    stats = np.concatenate(blocks, axis=1).ravel()
    scenes = len(stats) // len(CLASSES)
    there = np.ones(len(stats), bool)
    labels = np.repeat(np.arange(len(CLASSES), dtype=np.uint8), scenes)
    rows = Rows(labels, np.tile(np.arange(scenes), len(CLASSES)), there, there)
    with TemporaryDirectory() as folder:
        angles = ray_angles(World().sensor)
        for class_name in CLASSES:
            (Path(folder) / class_name).mkdir()
            write_angles(Path(folder) / class_name, angles, angles)
        issues = [*find_implausible(Path(folder), rows, stats), *find_misaligned(Path(folder), rows, stats)]
    found = Counter(issue.code for issue in issues)
    print(f"{name}: {len(stats):,} pairs, {len(issues)} findings {dict(found) or ''}", flush=True)
    return found


if __name__ == "__main__":
    run_command(main)

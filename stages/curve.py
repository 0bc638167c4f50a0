"""Train every fusion on few scenes: runs/curve/<scenes>/."""

from dataclasses import asdict
from math import ceil

import numpy as np
from torch import Tensor, nn

from pipeline.config.params import load_params
from pipeline.core.device import build_seeded, map_seeds, setup_device
from pipeline.core.errors import PipelineError, run_command
from pipeline.core.files import write_json, write_npy
from pipeline.core.runs import run_folder
from pipeline.data.arrays import Batches, load_arrays
from pipeline.metrics.classification import add_prefix, classification_metrics, majority_accuracy
from pipeline.metrics.inference import pair_logits
from pipeline.metrics.seeds import aggregate_seeds
from pipeline.models.fusion import build_fusion
from pipeline.training.frozen import fit_of
from pipeline.training.loop import EpochMetrics, LogFn, Task, fit_seeds
from pipeline.training.objectives import pair_objective
from pipeline.training.tracker import Tracker


def main(scenes: int) -> None:
    params, device = load_params(), setup_device()
    section, folder = params.curve, run_folder("curve", str(scenes))
    data = load_arrays(run_folder("prepare") / "arrays", device)
    everything = len(data.scene_pairs("train"))
    if scenes > everything:
        raise PipelineError(f"params.yaml: curve.scenes holds {scenes}; there are {everything} scenes to train on")
    val, test = (Batches(data.with_xyza, data.splits[split]) for split in ("val", "test"))
    label = data.label[test.rows]

    def evaluate(model: nn.Module) -> dict[str, float]:
        return add_prefix("val", classification_metrics(pair_logits(model, val), data.label[val.rows]))

    def task(seed: int, net: dict) -> Task:
        rows = data.sample_scenes("train", scenes, seed)
        rows = rows.repeat(ceil(section.steps * section.batch / len(rows)))  # few scenes are seen often
        train = Batches(data.with_xyza, rows, section.batch)
        return Task(
            build_seeded(seed, lambda: build_fusion(**net)), pair_objective, train, evaluate, classification_metrics
        )

    def train(fusion: str, log: LogFn) -> tuple[list[Tensor], dict]:
        """Test logits of every seed, and the figures over seeds."""
        widths = asdict(getattr(params.fusion.nets, fusion))
        net = {"fusion": fusion, "downsample": section.downsample, "widths": widths} | data.depth_stats
        tasks = {seed: task(seed, net) for seed in params.seeds}
        fitted = fit_seeds(tasks, section, section.epochs, log, device, fit_of(fusion))
        said = map_seeds(lambda task: pair_logits(task.model, test), list(tasks.values()), device)
        reached = [{"train_loss": each.history[-1]["train_loss"]} for each in fitted]
        return said, aggregate_seeds(
            [classification_metrics(each, label) | loss for each, loss in zip(said, reached, strict=True)]
        )

    told = {}
    # one run for all: its epochs count on from fusion to fusion
    with Tracker(folder, params.seeds, section.epochs * len(section.fusions), device, asdict(section)) as tracker:
        for place, fusion in enumerate(section.fusions):
            before = place * section.epochs

            def log(seed: int, row: EpochMetrics, before: int = before) -> None:
                tracker.epoch(seed, row | {"epoch": before + row["epoch"]})

            told[fusion] = train(fusion, log)
        figures = {fusion: each for fusion, (_, each) in told.items()}
        tracker.summary({fusion: each["accuracy"] for fusion, each in figures.items()})
    write_npy(folder / "logits.npy", np.stack([np.stack(said) for said, _ in told.values()]))  # (fusions, S, N)
    write_json(folder / "metrics.json", {"chance": majority_accuracy(label), "fusions": figures})


if __name__ == "__main__":
    run_command(main)

"""Train the LiDAR classifier, whose feature space the projector aims at, or take one that is trained: runs/lidar/."""

from dataclasses import asdict
from pathlib import Path

import torch

from pipeline.config.params import load_params
from pipeline.core.checkpoints import save_checkpoints
from pipeline.core.device import build_seeded, map_seeds, peak_memory, setup_device
from pipeline.core.errors import run_command
from pipeline.core.files import sha256, write_json
from pipeline.core.runs import run_folder
from pipeline.data.arrays import Batches, load_arrays
from pipeline.metrics.classification import add_prefix, classification_metrics, majority_accuracy
from pipeline.metrics.inference import lidar_logits
from pipeline.metrics.seeds import aggregate_seeds
from pipeline.models.cilp import LidarClassifier
from pipeline.training.loop import FitResult, Task, fit_seeds, timing_metrics, training_cost
from pipeline.training.objectives import lidar_objective
from pipeline.training.pretrained import load_weights
from pipeline.training.tracker import Tracker


def main() -> None:
    params, device = load_params(), setup_device()
    section, folder = params.lidar, run_folder("lidar")
    data = load_arrays(run_folder("prepare") / "arrays", device)
    train = Batches(data.with_depth, data.splits["train"], section.batch)
    val, test = (Batches(data.with_depth, data.splits[name]) for name in ("val", "test"))
    net = {"branch": section.branch, "head": section.head}
    net |= data.depth_stats if section.weights is None else {}  # the course's weights take depth as it is

    def score(model: LidarClassifier, batches: Batches) -> dict[str, float]:
        return classification_metrics(lidar_logits(model, batches), data.label[batches.rows])

    def task(seed: int) -> Task:
        model = build_seeded(seed, lambda: LidarClassifier(**net))
        return Task(
            model, lidar_objective, train, lambda net: add_prefix("val", score(net, val)), classification_metrics
        )

    tasks = {seed: task(seed) for seed in params.seeds}
    models = {seed: task.model for seed, task in tasks.items()}

    def given(seed: int) -> FitResult:
        """No training: the same weights for every seed, and one row of history."""
        model = models[seed].to(device, memory_format=torch.channels_last).eval()
        row = {"epoch": 0, "lr": 0.0, **add_prefix("val", score(model, val))}
        row |= timing_metrics(0.0, 0, peak_memory(device))
        tracker.epoch(seed, row)
        return FitResult([], row)

    source = {}
    if section.weights is not None:
        for model in models.values():
            load_weights(model, Path(section.weights))
        source = {"weights_sha256": sha256(Path(section.weights))}
    recipe = asdict(section) | source
    with Tracker(folder, params.seeds, section.epochs, device, recipe, models[params.seeds[0]]) as tracker:
        if section.weights is None:
            fitted = fit_seeds(tasks, section, section.epochs, tracker.epoch, device)
        else:
            fitted = map_seeds(given, params.seeds, device)
        save_checkpoints(folder, models, {"kind": "lidar", "net": net} | source)
        logits = map_seeds(lambda model: lidar_logits(model, test), list(models.values()), device)
        label = data.label[test.rows]
        rows = [classification_metrics(said, label) for said in logits]
        metrics = aggregate_seeds(rows) | {"chance": majority_accuracy(label)} | training_cost(models, fitted) | source
        tracker.predictions(logits, data, test.rows)
        tracker.summary(metrics)
    write_json(folder / "metrics.json", metrics)


if __name__ == "__main__":
    run_command(main)

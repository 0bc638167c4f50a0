"""Train the LiDAR classifier, whose feature space the projector aims at, or take one that is trained: runs/lidar/."""

from dataclasses import asdict
from pathlib import Path

import torch

from pipeline import device as machine
from pipeline.artifacts import fingerprint, run_folder, save_models, write_json
from pipeline.config import load
from pipeline.data import arrays
from pipeline.errors import run
from pipeline.models.cilp import LidarClassifier
from pipeline.results.metrics import classification, majority, prefixed
from pipeline.results.predict import lidar_logits
from pipeline.results.statistics import over_seeds
from pipeline.training.loop import Fitted, Task, costs, fit_seeds, timed
from pipeline.training.losses import lidar_loss
from pipeline.training.pretrained import load_weights
from pipeline.training.tracking import Tracker


def main() -> None:
    params, device = load(), machine.choose()
    section, folder = params.lidar, run_folder("lidar")
    data = arrays.load(run_folder("prepare") / "arrays", device)
    train = arrays.Batches(data.with_depth, data.splits["train"], section.batch)
    val, test = (arrays.Batches(data.with_depth, data.splits[name]) for name in ("val", "test"))
    net = {"branch": section.branch, "head": section.head}
    net |= data.standard if section.weights is None else {}  # the course's weights take depth as it is

    def score(model: LidarClassifier, batches: arrays.Batches) -> dict[str, float]:
        return classification(lidar_logits(model, batches), data.label[batches.rows])

    def task(seed: int) -> Task:
        model = machine.seeded(seed, lambda: LidarClassifier(**net))
        return Task(model, lidar_loss, train, lambda net: prefixed("val", score(net, val)), classification)

    tasks = {seed: task(seed) for seed in params.seeds}
    models = {seed: task.model for seed, task in tasks.items()}

    def given(seed: int) -> Fitted:
        """No training: the same weights for every seed, and one row of history."""
        model = models[seed].to(device, memory_format=torch.channels_last).eval()
        row = {"epoch": 0, "lr": 0.0, **prefixed("val", score(model, val))}
        row |= timed(0.0, 0, machine.peak_memory(device))
        tracker.epoch(seed, row)
        return Fitted([], row)

    source = {}
    if section.weights is not None:
        for model in models.values():
            load_weights(model, Path(section.weights))
        source = {"weights_sha256": fingerprint(Path(section.weights))}
    recipe = asdict(section) | source
    with Tracker(folder, params.seeds, section.epochs, device, recipe, models[params.seeds[0]]) as tracker:
        if section.weights is None:
            fitted = fit_seeds(tasks, section, section.epochs, tracker.epoch, device)
        else:
            fitted = machine.side_by_side(given, params.seeds, device)
        save_models(folder, models, {"kind": "lidar", "net": net} | source)
        logits = machine.side_by_side(lambda model: lidar_logits(model, test), list(models.values()), device)
        label = data.label[test.rows]
        rows = [classification(said, label) for said in logits]
        metrics = over_seeds(rows) | {"chance": majority(label)} | costs(models, fitted) | source
        tracker.predictions(logits, data, test.rows)
        tracker.summary(metrics)
    write_json(folder / "metrics.json", metrics)


if __name__ == "__main__":
    run(main)

"""Train the LiDAR classifier, whose feature space the projector aims at: runs/lidar/."""

from dataclasses import asdict

from pipeline import device as machine
from pipeline.artifacts import run_folder, save_models, write_json
from pipeline.config import load
from pipeline.data import arrays
from pipeline.errors import run
from pipeline.models.cilp import LidarClassifier
from pipeline.results.metrics import classification, majority, prefixed
from pipeline.results.predict import lidar_logits
from pipeline.results.statistics import over_seeds
from pipeline.training.loop import Task, costs, fit_seeds
from pipeline.training.losses import lidar_loss
from pipeline.training.tracking import Tracker


def main() -> None:
    params, device = load(), machine.choose()
    section, folder = params.lidar, run_folder("lidar")
    data = arrays.load(run_folder("prepare") / "arrays", device)
    train, val, test = (arrays.Batches(data.with_depth, rows, section.batch) for rows in data.splits.values())
    net = {"branch": section.branch, "head": section.head} | data.standard

    def score(model: LidarClassifier, batches: arrays.Batches) -> dict[str, float]:
        return classification(lidar_logits(model, batches), data.label[batches.rows])

    def task(seed: int) -> Task:
        model = machine.seeded(seed, lambda: LidarClassifier(**net))
        return Task(model, lidar_loss, train, lambda: prefixed("val", score(model, val)))

    tasks = {seed: task(seed) for seed in params.seeds}
    models = {seed: task.model for seed, task in tasks.items()}
    with Tracker(folder, params.seeds, section.epochs, device, asdict(section)) as tracker:
        fitted = fit_seeds(tasks, section, section.epochs, tracker.epoch, device)
        save_models(folder, models, {"kind": "lidar", "net": net})
        rows = machine.side_by_side(lambda model: score(model, test), list(models.values()), device)
        metrics = over_seeds(rows) | {"chance": majority(data.label[test.rows])} | costs(models, fitted)
        tracker.summary(metrics)
    write_json(folder / "metrics.json", metrics)


if __name__ == "__main__":
    run(main)

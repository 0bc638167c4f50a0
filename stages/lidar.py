"""Train the LiDAR classifier, whose feature space the projector aims at: runs/lidar/."""

from dataclasses import asdict

from torch import Tensor

from pipeline import device as machine
from pipeline.artifacts import checkpoint_name, run_folder, save_checkpoint, write_json
from pipeline.config import load
from pipeline.data import arrays
from pipeline.errors import run
from pipeline.models.cilp import LidarClassifier
from pipeline.results.metrics import classification, majority, prefixed
from pipeline.results.predict import lidar_logits
from pipeline.results.statistics import over_seeds
from pipeline.training.loop import Fitted, Task, costs, fit
from pipeline.training.losses import lidar_loss
from pipeline.training.tracking import Tracker


def main() -> None:
    params, device = load(), machine.choose()
    section, folder = params.lidar, run_folder("lidar")
    data = arrays.load(run_folder("prepare") / "arrays", device)
    net = {"branch": section.branch, "head": section.head} | data.standard
    train, val, test = (arrays.Batches(data.with_depth, rows, section.batch) for rows in data.splits.values())
    models = {seed: machine.seeded(seed, lambda: LidarClassifier(**net)) for seed in params.seeds}

    with Tracker(folder, params.seeds, section.epochs, device, asdict(section)) as tracker:

        def train_one(seed: int) -> tuple[Fitted, Tensor]:
            model = models[seed]

            def evaluate() -> dict[str, float]:
                return prefixed("val", classification(lidar_logits(model, val), data.label[val.rows]))

            fitted = fit(Task(model, lidar_loss, train, evaluate), section, section.epochs, seed, tracker.epoch)
            about = {"kind": "lidar", "net": net, "seed": seed}
            save_checkpoint(folder / "models" / checkpoint_name(seed), model.state_dict(), about)
            return fitted, lidar_logits(model, test)

        fitted, logits = zip(*machine.each_seed(train_one, params.seeds, device), strict=True)
        label = data.label[test.rows]
        rows = [classification(each, label) for each in logits]
        metrics = over_seeds(rows) | {"chance": majority(label)} | costs(models[params.seeds[0]], fitted, device)
        tracker.summary(metrics)
    write_json(folder / "metrics.json", metrics)


if __name__ == "__main__":
    run(main)

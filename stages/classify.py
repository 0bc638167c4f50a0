"""Classify with RGB alone: CILP embedder, projector, LiDAR head; zero-shot, then with the projector tuned: runs/classify/."""

from dataclasses import asdict

from torch import Tensor, nn

from pipeline import device as machine
from pipeline.artifacts import checkpoint_name, load_checkpoint, run_folder, save_checkpoint, write_json
from pipeline.config import load
from pipeline.data import arrays
from pipeline.errors import run
from pipeline.models.cilp import RgbToLidar, freeze
from pipeline.results.metrics import classification, majority, prefixed
from pipeline.results.predict import outputs, restore
from pipeline.results.statistics import over_seeds
from pipeline.training.loop import Fitted, Task, costs, fit
from pipeline.training.losses import feature_loss
from pipeline.training.tracking import Tracker

PARTS = ("cilp", "project", "lidar")


def main() -> None:
    params, device = load(), machine.choose()
    section, folder = params.classify, run_folder("classify")
    data = arrays.load(run_folder("prepare") / "arrays", device)
    everything = arrays.Batches(data.with_depth, data.all_rows, section.batch)

    with Tracker(folder, params.seeds, section.epochs, device, asdict(section)) as tracker:

        def train_one(seed: int) -> tuple[Fitted, nn.Module, dict[str, float]]:
            paths = {part: run_folder(part) / "models" / checkpoint_name(seed) for part in PARTS}
            cilp, projector, lidar = (restore(path, device) for path in paths.values())
            model = RgbToLidar(freeze(cilp.rgb), projector, freeze(lidar.classifier))
            inputs = outputs(lambda batch: model.embedder(batch.rgb), everything).to(device)
            train, val, test = (
                arrays.Batches(arrays.Features(inputs, data.label).rows, rows, section.batch)
                for rows in data.splits.values()
            )
            # the embedder is frozen, so what follows it trains on embeddings computed once
            tail = nn.Sequential(model.projector, model.classifier, nn.Flatten(0))

            def score(batches: arrays.Batches) -> dict[str, float]:
                logits: Tensor = outputs(lambda batch: tail(batch.inputs), batches)
                return classification(logits, data.label[batches.rows])

            zero_shot = prefixed("zero_shot", score(test))
            task = Task(tail, feature_loss, train, lambda: prefixed("val", score(val)))
            fitted = fit(task, section, section.epochs, seed, tracker.epoch)
            about = {"kind": "classify", "net": {part: load_checkpoint(paths[part])[1]["net"] for part in PARTS}}
            save_checkpoint(folder / "models" / checkpoint_name(seed), model.state_dict(), about | {"seed": seed})
            return fitted, model, zero_shot | prefixed("tuned", score(test))

        fitted, models, rows = zip(*machine.each_seed(train_one, params.seeds, device), strict=True)
        chance = {"chance": majority(data.label[data.splits["test"]])}
        metrics = over_seeds(rows) | chance | costs(models[0], fitted, device)
        tracker.summary(metrics)
    write_json(folder / "metrics.json", metrics)


if __name__ == "__main__":
    run(main)

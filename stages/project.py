"""Train the projector from CILP's RGB embedding to the LiDAR classifier's features: runs/project/."""

from dataclasses import asdict

from torch import Tensor

from pipeline import device as machine
from pipeline.artifacts import checkpoint_name, run_folder, save_checkpoint, write_json
from pipeline.config import load
from pipeline.data import arrays
from pipeline.errors import run
from pipeline.models.cilp import build_projector
from pipeline.results.metrics import prefixed, projection
from pipeline.results.predict import outputs, restore
from pipeline.results.statistics import over_seeds
from pipeline.training.loop import Fitted, Task, costs, fit
from pipeline.training.losses import projection_loss
from pipeline.training.tracking import Tracker


def main() -> None:
    params, device = load(), machine.choose()
    section, folder = params.project, run_folder("project")
    data = arrays.load(run_folder("prepare") / "arrays", device)
    everything = arrays.Batches(data.with_depth, data.all_rows, section.batch)

    def features(seed: int) -> arrays.Features:
        """Both frozen nets see every pair once; the projector then trains on what they said."""
        cilp = restore(run_folder("cilp") / "models" / checkpoint_name(seed), device)
        lidar = restore(run_folder("lidar") / "models" / checkpoint_name(seed), device)
        rgb = outputs(lambda batch: cilp.rgb(batch.rgb), everything)
        return arrays.Features(
            rgb.to(device), outputs(lambda batch: lidar.features(batch.lidar), everything).to(device)
        )

    pairs = dict(zip(params.seeds, machine.each_seed(features, params.seeds, device), strict=True))
    embed, target = (side.shape[1] for side in pairs[params.seeds[0]])
    net = {"embed": embed, "hidden": section.hidden, "target": target}
    models = {seed: machine.seeded(seed, lambda: build_projector(**net)) for seed in params.seeds}

    with Tracker(folder, params.seeds, section.epochs, device, asdict(section)) as tracker:

        def train_one(seed: int) -> tuple[Fitted, dict[str, float]]:
            model, take = models[seed], pairs[seed].rows
            train, val, test = (arrays.Batches(take, rows, section.batch) for rows in data.splits.values())
            mean = pairs[seed].target[train.rows].mean(dim=0).cpu()

            def score(batches: arrays.Batches) -> dict[str, float]:
                target: Tensor = pairs[seed].target[batches.rows].cpu()
                return projection(outputs(lambda batch: model(batch.inputs), batches), target, mean)

            def evaluate() -> dict[str, float]:
                figures = prefixed("val", score(val))
                return {"val_loss": figures["val_mse"], **figures}

            fitted = fit(Task(model, projection_loss, train, evaluate), section, section.epochs, seed, tracker.epoch)
            about = {"kind": "project", "net": net, "seed": seed}
            save_checkpoint(folder / "models" / checkpoint_name(seed), model.state_dict(), about)
            return fitted, score(test)

        fitted, rows = zip(*machine.each_seed(train_one, params.seeds, device), strict=True)
        metrics = over_seeds(rows) | costs(models[params.seeds[0]], fitted, device)
        tracker.summary(metrics)
    write_json(folder / "metrics.json", metrics)


if __name__ == "__main__":
    run(main)

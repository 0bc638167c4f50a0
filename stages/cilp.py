"""Contrastive image-LiDAR pretraining of two embedders: runs/cilp/."""

from dataclasses import asdict
from math import log

from torch import Tensor

from pipeline import device as machine
from pipeline.artifacts import checkpoint_name, run_folder, save_checkpoint, write_array, write_json
from pipeline.config import load
from pipeline.data import arrays
from pipeline.errors import run
from pipeline.models.cilp import CILP
from pipeline.results.figures import similarity
from pipeline.results.metrics import contrastive, prefixed, retrieval
from pipeline.results.predict import embeddings
from pipeline.results.statistics import over_seeds
from pipeline.training.loop import Fitted, Task, costs, fit
from pipeline.training.losses import contrastive_loss
from pipeline.training.tracking import Tracker

SHOWN = 32  # pairs in the similarity matrix: one batch, the picture people know


def main() -> None:
    params, device = load(), machine.choose()
    section, folder = params.cilp, run_folder("cilp")
    data = arrays.load(run_folder("prepare") / "arrays", device)
    net = {name: getattr(section, name) for name in ("branch", "hidden", "embed", "temperature")} | data.standard
    train, val, test = (arrays.Batches(data.with_depth, data.mixed(name), section.batch) for name in data.splits)
    models = {seed: machine.seeded(seed, lambda: CILP(**net)) for seed in params.seeds}

    with Tracker(folder, params.seeds, section.epochs, device, asdict(section)) as tracker:

        def score(model: CILP, batches: arrays.Batches) -> tuple[dict[str, float], tuple[Tensor, Tensor]]:
            rgb, lidar = embeddings(model, batches)
            scale = float(model.scale)
            figures = {"loss": contrastive(rgb, lidar, scale, section.batch), **retrieval(rgb, lidar)}
            return figures | {"temperature": 1 / scale}, (rgb, lidar)

        def train_one(seed: int) -> tuple[Fitted, dict[str, float], tuple[Tensor, Tensor]]:
            model = models[seed]
            task = Task(model, contrastive_loss, train, lambda: prefixed("val", score(model, val)[0]))
            fitted = fit(task, section, section.epochs, seed, tracker.epoch)
            about = {"kind": "cilp", "net": net, "seed": seed}
            save_checkpoint(folder / "models" / checkpoint_name(seed), model.state_dict(), about)
            return fitted, *score(model, test)

        fitted, rows, embedded = zip(*machine.each_seed(train_one, params.seeds, device), strict=True)
        chance = {"chance_loss": round(log(section.batch), 6)}  # of a full batch
        metrics = over_seeds(rows) | chance | costs(models[params.seeds[0]], fitted, device)
        rgb, lidar = (side[:SHOWN] for side in embedded[0])
        write_array(folder / "similarity.npy", (rgb @ lidar.T).numpy())  # (32, 32), row = RGB, column = LiDAR
        similarity(rgb @ lidar.T, folder / "similarity.png")
        tracker.picture("similarity", folder / "similarity.png")
        tracker.summary(metrics)
    write_json(folder / "metrics.json", metrics)


if __name__ == "__main__":
    run(main)

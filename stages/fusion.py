"""Train one cell of the fusion study over all seeds: runs/fusion/<fusion>-<downsample>/."""

from dataclasses import asdict

import numpy as np

from pipeline import device as machine
from pipeline.artifacts import cell_name, checkpoint_name, run_folder, save_checkpoint, write_array, write_json
from pipeline.config import load
from pipeline.data import arrays
from pipeline.errors import run
from pipeline.models.fusion import build_fusion
from pipeline.results.metrics import classification, majority, prefixed
from pipeline.results.predict import pair_logits
from pipeline.results.statistics import over_seeds
from pipeline.training.loop import Fitted, Task, costs, fit
from pipeline.training.losses import pair_loss
from pipeline.training.tracking import Tracker


def main(fusion: str, downsample: str) -> None:
    params, device = load(), machine.choose()
    section, folder = params.fusion, run_folder("fusion", cell_name(fusion, downsample))
    epochs, widths = section.epochs[fusion][downsample], asdict(getattr(section.nets, fusion))
    data = arrays.load(run_folder("prepare") / "arrays", device)
    net = {"fusion": fusion, "downsample": downsample, "widths": widths} | data.standard
    train, val, test = (arrays.Batches(data.with_xyza, rows, section.batch) for rows in data.splits.values())
    models = {seed: machine.seeded(seed, lambda: build_fusion(**net)) for seed in params.seeds}

    with Tracker(folder, params.seeds, epochs, device, asdict(section) | net) as tracker:

        def train_one(seed: int) -> tuple[Fitted, np.ndarray]:
            model = models[seed]

            def evaluate() -> dict[str, float]:
                return prefixed("val", classification(pair_logits(model, val), data.label[val.rows]))

            fitted = fit(Task(model, pair_loss, train, evaluate), section, epochs, seed, tracker.epoch)
            about = {"kind": "fusion", "net": net, "seed": seed}
            save_checkpoint(folder / "models" / checkpoint_name(seed), model.state_dict(), about)
            return fitted, pair_logits(model, test)

        fitted, logits = zip(*machine.each_seed(train_one, params.seeds, device), strict=True)
        label = data.label[test.rows]
        scores = [classification(each, label) for each in logits]
        vals = [{name: each.best[name] for name in ("val_loss", "val_accuracy")} for each in fitted]
        rows = [score | val for score, val in zip(scores, vals, strict=True)]
        metrics = over_seeds(rows) | {"chance": majority(label)} | costs(models[params.seeds[0]], fitted, device)
        tracker.summary(metrics)
    write_array(folder / "logits.npy", np.stack(logits))  # (S, N of test)
    write_json(folder / "metrics.json", metrics)


if __name__ == "__main__":
    run(main)

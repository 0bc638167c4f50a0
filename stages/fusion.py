"""Train one cell of the fusion study over all seeds: runs/fusion/<fusion>-<downsample>/."""

from dataclasses import asdict

import numpy as np

from pipeline import device as machine
from pipeline.artifacts import cell_name, run_folder, save_models, write_array, write_json
from pipeline.config import DownsampleName, FusionName, load
from pipeline.data import arrays
from pipeline.errors import run
from pipeline.models.fusion import build_fusion
from pipeline.results.metrics import classification, majority, prefixed
from pipeline.results.predict import pair_logits
from pipeline.results.statistics import over_seeds
from pipeline.training.loop import Task, costs, fit_seeds
from pipeline.training.losses import pair_loss
from pipeline.training.tracking import Tracker


def main(fusion: FusionName, downsample: DownsampleName) -> None:
    params, device = load(), machine.choose()
    section = params.fusion
    epochs, widths = section.epochs_of(fusion, downsample), asdict(getattr(section.nets, fusion))
    folder = run_folder("fusion", cell_name(fusion, downsample))
    data = arrays.load(run_folder("prepare") / "arrays", device)
    train = arrays.Batches(data.with_xyza, data.splits["train"], section.batch)
    val, test = (arrays.Batches(data.with_xyza, data.splits[name]) for name in ("val", "test"))
    net = {"fusion": fusion, "downsample": downsample, "widths": widths} | data.standard

    def task(seed: int) -> Task:
        model = machine.seeded(seed, lambda: build_fusion(**net))

        def evaluate() -> dict[str, float]:
            return prefixed("val", classification(pair_logits(model, val), data.label[val.rows]))

        return Task(model, pair_loss, train, evaluate)

    tasks = {seed: task(seed) for seed in params.seeds}
    models = {seed: task.model for seed, task in tasks.items()}
    with Tracker(folder, params.seeds, epochs, device, asdict(section) | net | {"epochs": epochs}) as tracker:
        fitted = fit_seeds(tasks, section, epochs, tracker.epoch, device)
        save_models(folder, models, {"kind": "fusion", "net": net, "angles": data.angles})
        logits = machine.side_by_side(lambda model: pair_logits(model, test), list(models.values()), device)
        label = data.label[test.rows]
        rows = [
            classification(said, label) | {name: fit.best[name] for name in ("val_loss", "val_accuracy")}
            for said, fit in zip(logits, fitted, strict=True)
        ]
        metrics = over_seeds(rows) | {"chance": majority(label)} | costs(models, fitted)
        tracker.summary(metrics)
    write_array(folder / "logits.npy", np.stack(logits))  # (S, N of test)
    write_json(folder / "metrics.json", metrics)


if __name__ == "__main__":
    run(main)

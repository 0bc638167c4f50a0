"""Train one cell of the fusion study over all seeds: runs/fusion/<fusion>-<downsample>/."""

from dataclasses import asdict

import numpy as np
import torch
from torch import nn

from pipeline import device as machine
from pipeline.artifacts import run_folder, save_models, write_array, write_json
from pipeline.config import load
from pipeline.data import arrays
from pipeline.errors import PipelineError, run
from pipeline.models.fusion import build_fusion
from pipeline.results.metrics import classification, confusion, majority, prefixed
from pipeline.results.predict import pair_logits
from pipeline.results.statistics import over_seeds
from pipeline.training.branches import fit_of
from pipeline.training.loop import Task, costs, fit_seeds
from pipeline.training.losses import pair_loss
from pipeline.training.tracking import Tracker


def main(name: str) -> None:
    params, device = load(), machine.choose()
    if name not in params.matrix:
        raise PipelineError(f"{name}: found no such cell in matrix of params.yaml; it has {', '.join(params.matrix)}")
    section, cell = params.fusion, params.matrix[name]
    folder = run_folder("fusion", name)
    data = arrays.load(run_folder("prepare") / "arrays", device)
    train = arrays.Batches(data.with_xyza, data.splits["train"], section.batch)
    val, test = (arrays.Batches(data.with_xyza, data.splits[split]) for split in ("val", "test"))
    widths = asdict(getattr(section.nets, cell.fusion))
    net = {"fusion": cell.fusion, "downsample": cell.downsample, "widths": widths} | data.standard

    def evaluate(model: nn.Module) -> dict[str, float]:
        return prefixed("val", classification(pair_logits(model, val), data.label[val.rows]))

    models = {seed: machine.seeded(seed, lambda: build_fusion(**net)) for seed in params.seeds}
    tasks = {seed: Task(model, pair_loss, train, evaluate, classification) for seed, model in models.items()}
    recipe = {key: value for key, value in asdict(section).items() if key != "nets"} | {"epochs": cell.epochs}
    with Tracker(folder, params.seeds, cell.epochs, device, recipe | net, models[params.seeds[0]]) as tracker:
        fitted = fit_seeds(tasks, section, cell.epochs, tracker.epoch, device, fit_of(cell.fusion))
        save_models(folder, models, {"kind": "fusion", "net": net, "angles": data.angles})
        logits = machine.side_by_side(lambda model: pair_logits(model, test), list(models.values()), device)
        label = data.label[test.rows]
        rows = [
            classification(said, label) | {key: fit.best[key] for key in ("val_loss", "val_accuracy")}
            for said, fit in zip(logits, fitted, strict=True)
        ]
        counts = confusion(torch.cat(logits), label.cpu().repeat(len(logits))).tolist()  # of all seeds together
        metrics = over_seeds(rows) | {"chance": majority(label)} | costs(models, fitted) | {"confusion": counts}
        tracker.predictions(logits, data, test.rows)
        tracker.summary(metrics)
    write_array(folder / "logits.npy", np.stack(logits))  # (S, N of test)
    write_json(folder / "metrics.json", metrics)


if __name__ == "__main__":
    run(main)

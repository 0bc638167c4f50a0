"""Train one cell of the fusion study over all seeds: runs/fusion/<fusion>-<downsample>/."""

from dataclasses import asdict

import numpy as np
import torch
from torch import nn

from pipeline.config.params import load_params
from pipeline.core.checkpoints import save_checkpoints
from pipeline.core.device import build_seeded, map_seeds, setup_device
from pipeline.core.errors import PipelineError, run_command
from pipeline.core.files import write_json, write_npy
from pipeline.core.runs import run_folder
from pipeline.data.arrays import Batches, load_arrays
from pipeline.metrics.classification import add_prefix, classification_metrics, confusion_matrix, majority_accuracy
from pipeline.metrics.inference import pair_logits
from pipeline.metrics.seeds import aggregate_seeds
from pipeline.models.fusion import build_fusion
from pipeline.training.frozen import fit_of
from pipeline.training.loop import Task, fit_seeds, training_cost
from pipeline.training.objectives import pair_objective
from pipeline.training.tracker import Tracker


def main(name: str) -> None:
    params, device = load_params(), setup_device()
    if name not in params.matrix:
        raise PipelineError(f"{name}: found no such cell in matrix of params.yaml; it has {', '.join(params.matrix)}")
    section, cell = params.fusion, params.matrix[name]
    folder = run_folder("fusion", name)
    data = load_arrays(run_folder("prepare") / "arrays", device)
    train = Batches(data.with_xyza, data.splits["train"], section.batch)
    val, test = (Batches(data.with_xyza, data.splits[split]) for split in ("val", "test"))
    widths = asdict(getattr(section.nets, cell.fusion))
    net = {"fusion": cell.fusion, "downsample": cell.downsample, "widths": widths} | data.depth_stats

    def evaluate(model: nn.Module) -> dict[str, float]:
        return add_prefix("val", classification_metrics(pair_logits(model, val), data.label[val.rows]))

    models = {seed: build_seeded(seed, lambda: build_fusion(**net)) for seed in params.seeds}
    tasks = {
        seed: Task(model, pair_objective, train, evaluate, classification_metrics) for seed, model in models.items()
    }
    recipe = {key: value for key, value in asdict(section).items() if key != "nets"} | {"epochs": cell.epochs}
    with Tracker(folder, params.seeds, cell.epochs, device, recipe | net, models[params.seeds[0]]) as tracker:
        fitted = fit_seeds(tasks, section, cell.epochs, tracker.epoch, device, fit_of(cell.fusion))
        save_checkpoints(folder, models, {"kind": "fusion", "net": net, "angles": data.angles})
        logits = map_seeds(lambda model: pair_logits(model, test), list(models.values()), device)
        label = data.label[test.rows]
        rows = [
            classification_metrics(said, label) | {key: fit.best[key] for key in ("val_loss", "val_accuracy")}
            for said, fit in zip(logits, fitted, strict=True)
        ]
        counts = confusion_matrix(torch.cat(logits), label.cpu().repeat(len(logits))).tolist()  # of all seeds together
        metrics = (
            aggregate_seeds(rows)
            | {"chance": majority_accuracy(label)}
            | training_cost(models, fitted)
            | {"confusion": counts}
        )
        tracker.predictions(logits, data, test.rows)
        tracker.summary(metrics)
    write_npy(folder / "logits.npy", np.stack(logits))  # (S, N of test)
    write_json(folder / "metrics.json", metrics)


if __name__ == "__main__":
    run_command(main)

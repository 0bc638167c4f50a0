"""Train one cell of the fusion study over all seeds: runs/fusion/<fusion>-<downsample>/."""

from dataclasses import asdict
from typing import Any

import numpy as np
import torch

from pipeline.config.params import load_params
from pipeline.core.device import build_seeded, setup_device
from pipeline.core.errors import PipelineError, run_command
from pipeline.core.files import write_json, write_npy
from pipeline.core.runs import cell_name, run_folder
from pipeline.data.arrays import Batches, load_arrays
from pipeline.metrics.classification import classification_metrics, confusion_matrix, majority_accuracy
from pipeline.metrics.inference import pair_logits
from pipeline.models.fusion import build_fusion, check_nets
from pipeline.training.frozen import TRAINERS
from pipeline.training.loop import FitResult, Task, fit
from pipeline.training.objectives import pair_objective
from pipeline.training.seeds import SeedResult, make_validate, train_over_seeds
from pipeline.training.states import remove_states


def main(name: str) -> None:
    params, name = load_params(), cell_name(name)
    device = setup_device(params.precision)
    if name not in params.matrix:
        raise PipelineError(f"{name}: found no such cell in matrix of params.yaml; it has {', '.join(params.matrix)}")
    check_nets(params.fusion.nets)  # of all cells: no net is trained before another is refused
    section, cell, folder = params.fusion, params.matrix[name], run_folder("fusion", name)
    data = load_arrays(run_folder("prepare") / "arrays", device)
    train = Batches(data.with_xyza, data.splits["train"], section.batch_size)
    val, test = (Batches(data.with_xyza, data.splits[split]) for split in ("val", "test"))
    label = data.label[test.rows]
    net: dict[str, Any] = {
        "fusion": cell.fusion,
        "downsample": cell.downsample,
        "widths": section.nets[cell.fusion],
    }
    net |= data.input_stats
    validate = make_validate(pair_logits, val, data.label[val.rows])

    def task(seed: int) -> Task:
        model = build_seeded(seed, lambda: build_fusion(**net))
        return Task(model, pair_objective, train, validate, classification_metrics)

    tasks = {seed: task(seed) for seed in section.seeds}

    def evaluate(seed: int, result: FitResult) -> SeedResult:
        logits = pair_logits(tasks[seed].model, test)
        best = {key: result.best[key] for key in ("val_loss", "val_accuracy")}
        return SeedResult(classification_metrics(logits, label) | best, logits)

    recipe = {key: value for key, value in asdict(section).items() if key not in ("nets", "seeds")}
    metrics, logits = train_over_seeds(
        folder,
        tasks,
        section,
        cell.epochs,
        evaluate,
        data,
        config=recipe | {"epochs": cell.epochs} | net,
        about={"kind": "fusion", "net": net, "angles": data.angles},
        constants={"chance": majority_accuracy(label)},
        trainer=TRAINERS.get(cell.fusion, fit),
    )
    counts = confusion_matrix(torch.cat(logits), label.cpu().repeat(len(logits)))  # of all seeds together
    write_npy(folder / "logits.npy", np.stack(logits))  # (S, N of test)
    write_json(folder / "metrics.json", metrics | {"confusion": counts.tolist()})
    remove_states(folder)


if __name__ == "__main__":
    run_command(main)

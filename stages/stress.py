"""Test every trained cell on pairs under sensor faults, without retraining: runs/stress/."""

from dataclasses import asdict
from typing import Any

import numpy as np
from tqdm import tqdm

from pipeline.config.params import load_params
from pipeline.core.device import map_seeds, precision_name, setup_device
from pipeline.core.errors import PipelineError, run_command
from pipeline.core.files import write_json, write_npy
from pipeline.core.runs import run_folder
from pipeline.data.arrays import load_arrays
from pipeline.evaluation.reproduce import assert_precision, restore_cell
from pipeline.evaluation.robustness import build_conditions, condition_logits
from pipeline.metrics.classification import majority_accuracy
from pipeline.metrics.seeds import aggregate_seeds


def main() -> None:
    params = load_params()
    device = setup_device(params.precision)
    section, folder = params.stress, run_folder("stress")
    assert_precision([f"fusion/{cell}" for cell in params.matrix], device)
    data = load_arrays(run_folder("prepare") / "arrays", device)
    scenes = data.scene_pairs("test")
    if not 2 <= section.scenes <= len(scenes):
        raise PipelineError(f"params.yaml: stress.scenes is {section.scenes}; expected 2 to {len(scenes)}, all of test")
    scenes = scenes[: section.scenes]
    conditions = build_conditions(data, scenes, asdict(section.faults), section.seed)
    label = data.label[scenes.flatten()].cpu()

    def cell_logits(cell: str) -> np.ndarray:
        """Return (conditions, S, N) logits of the cell's nets."""
        nets = [restore_cell(cell, seed, device) for seed in params.fusion.seeds]
        return np.stack(map_seeds(lambda net: condition_logits(net, conditions, data.rays), nets, device), axis=1)

    logits = {cell: cell_logits(cell) for cell in tqdm(params.matrix, desc="stress", unit="cell", disable=None)}
    accuracy = {cell: ((each > 0) == (label.numpy() > 0)).mean(axis=2) for cell, each in logits.items()}
    table: list[dict[str, Any]] = [
        {"cell": cell, "fault": fault, "severity": severity}
        | dict(aggregate_seeds([{"accuracy": float(seed)} for seed in accuracy[cell][place]]))
        for cell in logits
        for place, (fault, severity) in enumerate(conditions)
    ]
    write_npy(folder / "logits.npy", np.stack(list(logits.values())))  # (cells, conditions, S, N)
    about: dict[str, Any] = {
        "precision": precision_name(device),
        "pairs": len(label),
        "chance": majority_accuracy(label),
    }
    about |= {"conditions": list(conditions), "cells": list(logits)}
    write_json(folder / "metrics.json", about | {"accuracy": table})
    print(f"stress: {len(logits)} cells under {len(conditions)} conditions, {len(label)} pairs each")


if __name__ == "__main__":
    run_command(main)

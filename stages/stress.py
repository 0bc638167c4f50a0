"""Every trained cell on test pairs under sensor faults, without retraining: runs/stress/."""

from dataclasses import asdict

import numpy as np
from tqdm import tqdm

from pipeline.config.params import load_params
from pipeline.core.checkpoints import restore
from pipeline.core.device import map_seeds, setup_device
from pipeline.core.errors import PipelineError, run_command
from pipeline.core.files import write_json, write_npy
from pipeline.core.runs import RUNS, checkpoint_path, run_folder
from pipeline.data.arrays import load_arrays
from pipeline.evaluation.robustness import build_conditions, condition_logits
from pipeline.metrics.classification import majority_accuracy
from pipeline.metrics.seeds import aggregate_seeds
from pipeline.models.fusion import build_fusion
from pipeline.report.cells import is_correct


def main() -> None:
    params, device = load_params(), setup_device()
    section, folder = params.stress, run_folder("stress")
    data = load_arrays(run_folder("prepare") / "arrays", device)
    scene_pairs = data.scene_pairs("test")
    if not 2 <= section.scenes <= len(scene_pairs):
        raise PipelineError(
            f"params.yaml: stress.scenes is {section.scenes}; expected 2 to {len(scene_pairs)}, all of test"
        )
    scene_pairs = scene_pairs[: section.scenes]
    shown = build_conditions(data, scene_pairs, asdict(section.faults), section.seed)
    label = data.label[scene_pairs.flatten()].cpu()

    def ask(cell: str) -> np.ndarray:
        """(conditions, S, N) logits of the cell's nets."""
        nets = [
            restore(checkpoint_path(RUNS / "fusion" / cell, seed), "fusion", build_fusion, device)
            for seed in params.seeds
        ]
        return np.stack(map_seeds(lambda net: condition_logits(net, shown, data.rays), nets, device), axis=1)

    said = {cell: ask(cell) for cell in tqdm(params.matrix, desc="stress", unit="cell", disable=None)}
    table = [
        {"cell": cell, "fault": fault, "severity": severity}
        | aggregate_seeds(
            [{"accuracy": score} for score in is_correct(logits[place], label.numpy()).mean(axis=1).tolist()]
        )
        for cell, logits in said.items()
        for place, (fault, severity) in enumerate(shown)
    ]
    write_npy(folder / "logits.npy", np.stack(list(said.values())))  # (cells, conditions, S, N)
    known = {"pairs": len(label), "chance": majority_accuracy(label), "conditions": list(shown), "cells": list(said)}
    write_json(folder / "metrics.json", known | {"accuracy": table})
    print(f"stress: {len(said)} cells under {len(shown)} conditions, {len(label)} pairs each")


if __name__ == "__main__":
    run_command(main)

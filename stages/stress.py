"""Every trained cell on test pairs under sensor faults, without retraining: runs/stress/."""

from dataclasses import asdict

import numpy as np
from tqdm import tqdm

from pipeline import device as machine
from pipeline.artifacts import RUNS, checkpoint_path, run_folder, write_array, write_json
from pipeline.config import load
from pipeline.data import arrays
from pipeline.errors import PipelineError, run
from pipeline.results.cells import right
from pipeline.results.checkpoints import restore
from pipeline.results.metrics import majority
from pipeline.results.statistics import over_seeds
from pipeline.results.stress import answers, conditions


def main() -> None:
    params, device = load(), machine.choose()
    section, folder = params.stress, run_folder("stress")
    data = arrays.load(run_folder("prepare") / "arrays", device)
    twins = data.twins("test")
    if not 2 <= section.scenes <= len(twins):
        raise PipelineError(f"params.yaml: stress.scenes is {section.scenes}; expected 2 to {len(twins)}, all of test")
    twins = twins[: section.scenes]
    shown = conditions(data, twins, asdict(section.faults), section.seed)
    label = data.label[twins.flatten()].cpu()

    def ask(cell: str) -> np.ndarray:
        """(conditions, S, N) logits of the cell's nets."""
        nets = [restore(checkpoint_path(RUNS / "fusion" / cell, seed), "fusion", device) for seed in params.seeds]
        return np.stack(machine.side_by_side(lambda net: answers(net, shown, data.rays), nets, device), axis=1)

    said = {cell: ask(cell) for cell in tqdm(params.matrix, desc="stress", unit="cell", disable=None)}
    table = [
        {"cell": cell, "fault": fault, "severity": severity}
        | over_seeds([{"accuracy": score} for score in right(logits[place], label.numpy()).mean(axis=1).tolist()])
        for cell, logits in said.items()
        for place, (fault, severity) in enumerate(shown)
    ]
    write_array(folder / "logits.npy", np.stack(list(said.values())))  # (cells, conditions, S, N)
    known = {"pairs": len(label), "chance": majority(label), "conditions": list(shown), "cells": list(said)}
    write_json(folder / "metrics.json", known | {"accuracy": table})
    print(f"stress: {len(said)} cells under {len(shown)} conditions, {len(label)} pairs each")


if __name__ == "__main__":
    run(main)

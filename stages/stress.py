"""Test the nets of one cell without retraining, on clean pairs and under sensor faults: runs/stress/<cell>/.

The figures of the clean test split are recomputed from the checkpoints, and a difference from those of `fusion` is
refused.
"""

from dataclasses import asdict

import numpy as np

from pipeline.config.params import load_params
from pipeline.core.device import map_seeds, precision_name, setup_device
from pipeline.core.errors import PipelineError, run_command
from pipeline.core.files import write_json, write_npy
from pipeline.core.runs import cell_name, run_folder
from pipeline.data.arrays import load_arrays
from pipeline.evaluation.cells import restore_cell, score_cell
from pipeline.evaluation.reproduce import TOLERANCE, assert_precision, assert_reproduced
from pipeline.evaluation.robustness import build_conditions, condition_logits
from pipeline.metrics.classification import majority_accuracy
from pipeline.metrics.seeds import aggregate_seeds


def main(name: str) -> None:
    params, name = load_params(), cell_name(name)
    device = setup_device(params.precision)
    section, folder = params.stress, run_folder("stress", name)
    assert_precision([f"fusion/{name}"], device)
    data = load_arrays(run_folder("prepare") / "arrays", device)
    scenes = data.scene_pairs("test")
    if len(scenes) < 2:
        raise PipelineError(
            f"runs/prepare/arrays: the test split has {len(scenes)} scene; expected 2 or more; import more"
        )
    if not 2 <= section.scenes <= len(scenes):
        raise PipelineError(f"params.yaml: stress.scenes is {section.scenes}; expected 2 to {len(scenes)}, all of test")
    scenes = scenes[: section.scenes]
    nets = [restore_cell(name, seed, device) for seed in params.fusion.seeds]
    scores = map_seeds(lambda net: score_cell(net, data), nets, device)
    assert_reproduced(f"fusion/{name}", aggregate_seeds(scores), TOLERANCE[device.type])

    conditions = build_conditions(data, scenes, asdict(section.faults), section.seed)
    logits = np.stack(map_seeds(lambda net: condition_logits(net, conditions, data.rays), nets, device), axis=1)
    label = data.label[scenes.flatten()].cpu()
    accuracy = ((logits > 0) == (label.numpy() > 0)).mean(axis=2)  # (conditions, S)
    table = [
        {"fault": fault, "severity": severity} | dict(aggregate_seeds([{"accuracy": float(seed)} for seed in seeds]))
        for (fault, severity), seeds in zip(conditions, accuracy, strict=True)
    ]
    write_npy(folder / "logits.npy", logits)  # (conditions, S, N)
    about = {"precision": precision_name(device), "pairs": len(label), "chance": majority_accuracy(label)}
    write_json(folder / "metrics.json", about | {"accuracy": table})
    print(f"stress/{name}: {len(nets)} checkpoints give the figures of fusion; {len(conditions)} conditions")


if __name__ == "__main__":
    run_command(main)

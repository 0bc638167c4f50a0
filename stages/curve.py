"""Train every fusion on few scenes: runs/curve/<scenes>/."""

from dataclasses import asdict
from math import ceil

import numpy as np
from torch import Tensor

from pipeline.config.params import load_params
from pipeline.core.device import build_seeded, precision_name, setup_device
from pipeline.core.errors import PipelineError, run_command
from pipeline.core.files import write_json, write_npy
from pipeline.core.runs import cell_name, run_folder
from pipeline.data.arrays import Batches, load_arrays
from pipeline.metrics.classification import classification_metrics, majority_accuracy
from pipeline.metrics.inference import pair_logits
from pipeline.metrics.seeds import aggregate_seeds
from pipeline.models.fusion import build_fusion, check_nets
from pipeline.training.frozen import TRAINERS
from pipeline.training.loop import EpochMetrics, FitResult, Task, fit
from pipeline.training.objectives import pair_objective
from pipeline.training.seeds import SeedResult, fit_and_test, make_validate
from pipeline.training.states import open_states, remove_states
from pipeline.training.tracker import Tracker


def main(name: str) -> None:
    params, name = load_params(), cell_name(name)
    if name not in map(str, params.curve.scenes):
        points = ", ".join(map(str, params.curve.scenes))
        raise PipelineError(f"{name}: found no such point in curve.scenes of params.yaml; it has {points}")
    scenes = int(name)
    device = setup_device(params.precision)
    check_nets(params.fusion.nets)
    section, folder = params.curve, run_folder("curve", str(scenes))
    data = load_arrays(run_folder("prepare") / "arrays", device)
    available = len(data.scene_pairs("train"))
    if scenes > available:
        raise PipelineError(
            f"params.yaml: curve.scenes holds {scenes}; expected at most {available}, the scenes to train on; lower it"
        )
    val, test = (Batches(data.with_xyza, data.splits[split]) for split in ("val", "test"))
    label = data.label[test.rows]
    validate = make_validate(pair_logits, val, data.label[val.rows])

    def task(seed: int, net: dict) -> Task:
        rows = data.sample_scenes("train", scenes, seed)
        rows = rows.repeat(ceil(section.min_steps_per_epoch * section.batch_size / len(rows)))  # few scenes, often
        train = Batches(data.with_xyza, rows, section.batch_size)
        model = build_seeded(seed, lambda: build_fusion(**net))
        return Task(model, pair_objective, train, validate, classification_metrics)

    def train(fusion: str, first_epoch: int) -> tuple[list[Tensor], dict]:
        """Return the test logits of every seed, and the metrics over seeds."""
        net = {
            "fusion": fusion,
            "downsample": section.downsample,
            "widths": params.fusion.nets[fusion],
        }
        tasks = {seed: task(seed, net | data.input_stats) for seed in params.fusion.seeds}

        def evaluate(seed: int, result: FitResult) -> SeedResult:
            logits = pair_logits(tasks[seed].model, test)
            last = {"train_loss": result.history[-1]["train_loss"]}
            return SeedResult(classification_metrics(logits, label) | last, logits)

        def log(seed: int, metrics: EpochMetrics) -> None:
            tracker.epoch(seed, metrics | {"epoch": first_epoch + metrics["epoch"]})

        trainer = TRAINERS.get(fusion, fit)
        _, results = fit_and_test(tasks, section, section.epochs, evaluate, log, device, states.below(fusion), trainer)
        logits = [result.logits for result in results if result.logits is not None]
        return logits, aggregate_seeds([result.metrics for result in results])

    states = open_states(folder, asdict(section) | {"nets": params.fusion.nets}, device)
    # one tracked run for all fusions: its epochs count on from fusion to fusion
    epochs = section.epochs * len(section.fusions)
    with Tracker(folder, params.fusion.seeds, epochs, device, asdict(section)) as tracker:
        trained = {name: train(name, place * section.epochs) for place, name in enumerate(section.fusions)}
        tracker.summary({fusion: metrics["accuracy"] for fusion, (_, metrics) in trained.items()})
    write_npy(folder / "logits.npy", np.stack([np.stack(logits) for logits, _ in trained.values()]))  # (fusions, S, N)
    fusions = {fusion: metrics for fusion, (_, metrics) in trained.items()}
    about = {"precision": precision_name(device), "chance": majority_accuracy(label)}
    write_json(folder / "metrics.json", about | {"fusions": fusions})
    remove_states(folder)


if __name__ == "__main__":
    run_command(main)

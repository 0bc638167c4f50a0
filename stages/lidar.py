"""Train the LiDAR classifier, whose feature space the projector aims at, or load its weights: runs/lidar/."""

from dataclasses import asdict
from pathlib import Path
from typing import Any

from torch import nn

from pipeline.config.params import load_params
from pipeline.core.device import build_seeded, setup_device
from pipeline.core.errors import run_command
from pipeline.core.files import sha256, write_json
from pipeline.core.runs import run_folder
from pipeline.data.arrays import Batches, load_arrays
from pipeline.metrics.classification import classification_metrics, majority_accuracy
from pipeline.metrics.inference import lidar_logits
from pipeline.models.cilp import LidarClassifier
from pipeline.training.loop import FitResult, Task, fit
from pipeline.training.objectives import lidar_objective
from pipeline.training.pretrained import load_weights, validate_only
from pipeline.training.seeds import SeedResult, make_validate, train_over_seeds
from pipeline.training.states import remove_states


def main() -> None:
    params = load_params()
    device = setup_device(params.precision)
    section, folder = params.lidar, run_folder("lidar")
    weights = None if section.weights is None else Path(section.weights)
    data = load_arrays(run_folder("prepare") / "arrays", device)
    train = Batches(data.with_depth, data.splits["train"], section.batch_size)
    val, test = (Batches(data.with_depth, data.splits[name]) for name in ("val", "test"))
    label = data.label[test.rows]
    net: dict[str, Any] = {"channels": section.channels, "head_dims": section.head_dims}
    net |= data.depth_stats if weights is None else {}  # the course's weights take depth as it is
    validate = make_validate(lidar_logits, val, data.label[val.rows])

    def build(seed: int) -> nn.Module:
        model = build_seeded(seed, lambda: LidarClassifier(**net))
        if weights is not None:
            load_weights(model, weights)
        return model

    models = {seed: build(seed) for seed in params.seeds}
    source = {} if weights is None else {"weights_sha256": sha256(weights)}

    def evaluate(seed: int, result: FitResult) -> SeedResult:
        logits = lidar_logits(models[seed], test)
        return SeedResult(classification_metrics(logits, label), logits)

    metrics, _ = train_over_seeds(
        folder,
        {seed: Task(model, lidar_objective, train, validate, classification_metrics) for seed, model in models.items()},
        section,
        section.epochs,
        evaluate,
        data,
        config=asdict(section) | source,
        about={"kind": "lidar", "net": net} | source,
        constants={"chance": majority_accuracy(label)} | source,
        trainer=fit if weights is None else validate_only,
    )
    write_json(folder / "metrics.json", metrics)
    remove_states(folder)


if __name__ == "__main__":
    run_command(main)

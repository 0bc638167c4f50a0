"""Name the class from RGB alone, by way of the LiDAR net's space: zero-shot, then tuned: runs/classify/<tuning>/."""

from dataclasses import asdict

import numpy as np
from torch import Tensor, nn

from pipeline.config.params import load_params
from pipeline.config.types import TuningName
from pipeline.core.checkpoints import load_checkpoint, save_checkpoints
from pipeline.core.device import map_seeds, setup_device
from pipeline.core.errors import run_command
from pipeline.core.files import write_json, write_npy
from pipeline.core.runs import RUNS, checkpoint_path, run_folder
from pipeline.data.arrays import Batches, load_arrays
from pipeline.metrics.classification import add_prefix, classification_metrics, majority_accuracy
from pipeline.metrics.inference import input_logits
from pipeline.metrics.seeds import aggregate_seeds
from pipeline.models.cilp import CrossModalClassifier
from pipeline.training.loop import Task, fit_seeds, training_cost
from pipeline.training.objectives import label_objective
from pipeline.training.tracker import Tracker
from pipeline.transfer.chain import Chain, load_chain
from pipeline.transfer.tuning import TUNINGS, FineTune


def main(tuning: TuningName) -> None:
    params, device = load_params(), setup_device()
    section, folder = getattr(params.classify, tuning), run_folder("classify", tuning)
    data = load_arrays(run_folder("prepare") / "arrays", device)
    label = data.label[data.splits["test"]]

    def assemble(seed: int) -> tuple[CrossModalClassifier, FineTune]:
        net = load_chain(seed, device).classifier()
        return net, TUNINGS[tuning](net, data)

    assembled = dict(zip(params.seeds, map_seeds(assemble, params.seeds, device), strict=True))
    models, parts = ({seed: each[i] for seed, each in assembled.items()} for i in (0, 1))

    def logits(net: nn.Module, seed: int, split: str) -> Tensor:
        return input_logits(net, Batches(parts[seed][1], data.splits[split]))

    def on_test() -> list[Tensor]:
        return map_seeds(lambda seed: logits(parts[seed][0], seed, "test"), params.seeds, device)

    def task(seed: int) -> Task:
        part, take = parts[seed]
        known = data.label[data.splits["val"]]
        train = Batches(take, data.splits["train"], section.batch)

        def evaluate(net: nn.Module) -> dict[str, float]:
            return add_prefix("val", classification_metrics(logits(net, seed, "val"), known))

        return Task(part, label_objective, train, evaluate, classification_metrics)

    tasks = {seed: task(seed) for seed in params.seeds}
    before = [add_prefix("zero_shot", classification_metrics(said, label)) for said in on_test()]
    recipe = asdict(section) | {"tuning": tuning}
    with Tracker(folder, params.seeds, section.epochs, device, recipe, models[params.seeds[0]]) as tracker:
        fitted = fit_seeds(tasks, section, section.epochs, tracker.epoch, device)
        about = {part: load_checkpoint(checkpoint_path(RUNS / part, params.seeds[0]))[1] for part in Chain._fields}
        nets = {part: each["net"] for part, each in about.items()}
        given = {name: value for name, value in about["lidar"].items() if name == "weights_sha256"}
        save_checkpoints(folder, models, {"kind": "classify", "net": nets} | given)
        after = on_test()
        rows = [old | classification_metrics(said, label) for old, said in zip(before, after, strict=True)]
        metrics = aggregate_seeds(rows) | {"chance": majority_accuracy(label)} | training_cost(models, fitted) | given
        tracker.predictions(after, data, data.splits["test"])
        tracker.summary(metrics)
    write_npy(folder / "logits.npy", np.stack(after))  # (S, N of test)
    write_json(folder / "metrics.json", metrics)


if __name__ == "__main__":
    run_command(main)

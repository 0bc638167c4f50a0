"""Predict the class from RGB alone, through the LiDAR net's space, zero-shot and tuned: runs/classify/<tuning>/."""

from dataclasses import asdict

import numpy as np

from pipeline.config.params import load_params
from pipeline.config.types import TuningName
from pipeline.core.device import setup_device
from pipeline.core.errors import run_command
from pipeline.core.files import write_json, write_npy
from pipeline.core.runs import run_folder
from pipeline.data.arrays import Batches, load_arrays
from pipeline.metrics.classification import add_prefix, classification_metrics, majority_accuracy
from pipeline.metrics.inference import input_logits
from pipeline.training.loop import FitResult, Task
from pipeline.training.objectives import label_objective
from pipeline.training.seeds import SeedResult, make_validate, map_by_seed, train_over_seeds
from pipeline.training.states import remove_states
from pipeline.transfer.chain import load_chain, read_descriptions
from pipeline.transfer.tuning import TUNINGS, FineTune


def main(tuning: TuningName) -> None:
    params = load_params()
    device = setup_device(params.precision)
    section, folder = getattr(params.classify, tuning), run_folder("classify", tuning)
    data = load_arrays(run_folder("prepare") / "arrays", device)
    label = data.label[data.splits["test"]]

    def assemble(seed: int) -> FineTune:
        return TUNINGS[tuning](load_chain(seed, device).classifier(), data)

    finetunes = map_by_seed(assemble, params.seeds, device)

    def test(seed: int) -> SeedResult:
        logits = input_logits(finetunes[seed].part, Batches(finetunes[seed].batch_fn, data.splits["test"]))
        return SeedResult(classification_metrics(logits, label), logits)

    def task(seed: int) -> Task:
        batch_fn = finetunes[seed].batch_fn
        train = Batches(batch_fn, data.splits["train"], section.batch_size)
        validate = make_validate(input_logits, Batches(batch_fn, data.splits["val"]), data.label[data.splits["val"]])
        return Task(finetunes[seed].part, label_objective, train, validate, classification_metrics)

    zero_shot = map_by_seed(test, params.seeds, device)

    def evaluate(seed: int, result: FitResult) -> SeedResult:
        metrics, logits = test(seed)
        return SeedResult(add_prefix("zero_shot", zero_shot[seed].metrics) | metrics, logits)

    descriptions = read_descriptions(params.seeds[0])
    source = {key: value for key, value in descriptions["lidar"].items() if key == "weights_sha256"}
    metrics, logits = train_over_seeds(
        folder,
        {seed: task(seed) for seed in params.seeds},
        section,
        section.epochs,
        evaluate,
        data,
        config=asdict(section) | {"tuning": tuning},
        about={"kind": "classify", "net": {stage: about["net"] for stage, about in descriptions.items()}} | source,
        constants={"chance": majority_accuracy(label)} | source,
        models={seed: finetune.model for seed, finetune in finetunes.items()},
    )
    write_npy(folder / "logits.npy", np.stack(logits))  # (S, N of test)
    write_json(folder / "metrics.json", metrics)
    remove_states(folder)


if __name__ == "__main__":
    run_command(main)

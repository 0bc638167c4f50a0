"""Measure what pretraining buys when labels are few: RGB classifiers on 10 labels, 50, ... all: runs/labels/."""

import copy
from collections.abc import Mapping
from dataclasses import asdict, replace
from functools import partial
from math import ceil

from threadpoolctl import threadpool_limits

from pipeline.config.params import Labels, Params, load_params
from pipeline.core.device import build_seeded, map_seeds, precision_name, setup_device
from pipeline.core.errors import PipelineError, run_command
from pipeline.core.files import write_json
from pipeline.core.runs import run_folder
from pipeline.data.arrays import Arrays, Batches, load_arrays
from pipeline.metrics.classification import Metrics, classification_metrics, majority_accuracy
from pipeline.metrics.inference import input_logits
from pipeline.metrics.seeds import aggregate_seeds
from pipeline.models.cilp import RgbClassifier
from pipeline.training.loop import FitResult, Task
from pipeline.training.objectives import label_objective
from pipeline.training.seeds import SeedResult, make_validate, map_by_seed, train_over_seeds
from pipeline.training.states import remove_states
from pipeline.transfer.chain import load_chain
from pipeline.transfer.probe import probe_metrics
from pipeline.transfer.tuning import TUNINGS, FineTune

FineTunes = Mapping[int, FineTune]  # by seed


def scratch(params: Params, data: Arrays, seed: int) -> FineTune:
    """Build CILP's RGB trunk with the LiDAR net's head, untrained."""
    cilp, lidar = params.cilp, params.lidar
    model = build_seeded(seed, lambda: RgbClassifier(cilp.channels, lidar.head_dims, cilp.norm))
    return FineTune(model, model, data.with_label)


def pretrained(tuning: str, data: Arrays, seed: int) -> FineTune:
    """Load the zero-shot classifier, and choose the part of it to train."""
    return TUNINGS[tuning](load_chain(seed, data.label.device).classifier(), data)


def train(name: str, finetunes: FineTunes, section: Labels, count: int, data: Arrays) -> dict:
    """Train a copy of every seed's net on `count` labels; return test metrics and the last training loss."""

    def task(seed: int) -> Task:
        part, batch_fn = copy.deepcopy(finetunes[seed].part), finetunes[seed].batch_fn
        val = Batches(batch_fn, data.splits["val"])
        rows = data.sample_labelled("train", count, seed)
        rows = rows.repeat(ceil(section.min_steps_per_epoch * section.batch_size / count))  # few labels, often
        batches = Batches(batch_fn, rows, section.batch_size)
        validate = make_validate(input_logits, val, data.label[val.rows])
        return Task(part, label_objective, batches, validate, classification_metrics)

    tasks = {seed: task(seed) for seed in finetunes}

    def evaluate(seed: int, result: FitResult) -> SeedResult:
        test = Batches(finetunes[seed].batch_fn, data.splits["test"])
        metrics = classification_metrics(input_logits(tasks[seed].model, test), data.label[test.rows])
        return SeedResult(metrics | {"train_loss": result.history[-1]["train_loss"]})

    folder = run_folder("labels", f"trainings/{name}-{count}")
    config = asdict(section) | {"net": name, "labels": count}
    return train_over_seeds(folder, tasks, section, section.epochs, evaluate, data, config).metrics


def probe(finetunes: FineTunes, count: int, data: Arrays) -> dict:
    """Fit a linear probe to CILP's frozen RGB embedding: the only net here that no classifier had a part in."""

    def score(seed: int) -> Metrics:
        batch_fn = finetunes[seed].batch_fn
        return probe_metrics(batch_fn(data.sample_labelled("train", count, seed)), batch_fn(data.splits["test"]))

    with threadpool_limits(1):  # of the process: sums of several threads come out in any order
        return aggregate_seeds(map_seeds(score, list(finetunes), data.label.device))


def main() -> None:
    params = load_params()
    device = setup_device(params.precision)
    folder = run_folder("labels")
    data = load_arrays(run_folder("prepare") / "arrays", device)
    available = len(data.splits["train"])
    if too_many := [count for count in params.labels.label_counts if count > available]:
        raise PipelineError(
            f"params.yaml: labels.label_counts holds {too_many[0]}; "
            f"expected at most {available}, the pairs to train on; lower it"
        )
    counts = sorted({*params.labels.label_counts, available})
    nets = {"scratch": partial(scratch, params, data), **{name: partial(pretrained, name, data) for name in TUNINGS}}
    lrs = {"scratch": params.labels.lr} | {name: getattr(params.classify, name).lr for name in TUNINGS}
    chance = majority_accuracy(data.label[data.splits["test"]])
    metrics: dict = {"precision": precision_name(device), "chance": chance}
    for name, build in nets.items():
        finetunes = map_by_seed(build, params.seeds, device)
        section = replace(params.labels, lr=lrs[name])
        metrics[name] = {str(count): train(name, finetunes, section, count, data) for count in counts}
        if name == "projector_only":
            metrics["probe"] = {str(count): probe(finetunes, count, data) for count in counts}
    write_json(folder / "metrics.json", metrics)
    remove_states(folder)


if __name__ == "__main__":
    run_command(main)

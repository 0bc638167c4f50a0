"""What pretraining buys when labels are few: RGB classifiers on 10 labels, 50, ... and all of them: runs/labels/."""

import copy
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from functools import partial
from math import ceil

import torch
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from threadpoolctl import threadpool_limits
from torch import nn

from pipeline.config.params import Labels, Params, load_params
from pipeline.core.device import build_seeded, map_seeds, setup_device
from pipeline.core.errors import PipelineError, run_command
from pipeline.core.files import write_json
from pipeline.core.runs import run_folder
from pipeline.data.arrays import Arrays, Batches, BatchFn, load_arrays
from pipeline.metrics.classification import Metrics, add_prefix, classification_metrics, majority_accuracy
from pipeline.metrics.inference import input_logits
from pipeline.metrics.seeds import aggregate_seeds
from pipeline.models.cilp import RgbClassifier
from pipeline.training.loop import Task, fit_seeds
from pipeline.training.objectives import label_objective
from pipeline.training.tracker import Tracker
from pipeline.transfer.chain import load_chain
from pipeline.transfer.tuning import TUNINGS, FineTune

Parts = dict[int, FineTune]  # by seed
Figures = dict[str, float | None]  # over seeds


@dataclass(frozen=True)
class Study:
    """One data set; the nets, the rate they learn at and the number of labels change."""

    data: Arrays
    seeds: list[int]
    device: torch.device

    def train(self, name: str, parts: Parts, section: Labels, count: int) -> Figures:
        """Test figures of copies of every seed's net after training on `count` labels, and the last training loss."""
        tasks = {seed: self._task(seed, *parts[seed], section, count) for seed in self.seeds}
        folder, config = run_folder("labels", f"trainings/{name}-{count}"), {"net": name, "labels": count}
        recipe, net = asdict(section) | config, tasks[self.seeds[0]].model
        with Tracker(folder, self.seeds, section.epochs, self.device, recipe, net) as tracker:
            fitted = fit_seeds(tasks, section, section.epochs, tracker.epoch, self.device)
            scores = self._every(lambda seed: self._score(tasks[seed].model, parts[seed][1], "test"))
            reached = [{"train_loss": each.history[-1]["train_loss"]} for each in fitted]
            metrics = aggregate_seeds([score | loss for score, loss in zip(scores, reached, strict=True)])
            tracker.summary(metrics)
        return metrics

    def probe(self, parts: Parts, count: int) -> Figures:
        """A linear classifier on CILP's frozen RGB embedding, the one net here that no classifier had a part in."""

        def score(seed: int) -> Metrics:
            take, test = parts[seed][1], self.data.splits["test"]
            linear = make_pipeline(StandardScaler(), LogisticRegression(max_iter=1000))
            linear.fit(*(side.cpu().numpy() for side in take(self.data.sample_labelled("train", count, seed))))
            logits = linear.decision_function(take(test).inputs.cpu().numpy())
            return classification_metrics(torch.from_numpy(logits).float(), self.data.label[test])

        with threadpool_limits(1):  # of the process: sums of several threads come out in any order
            return aggregate_seeds(self._every(score))

    def _task(self, seed: int, net: nn.Module, take: BatchFn, section: Labels, count: int) -> Task:
        part = copy.deepcopy(net)
        rows = self.data.sample_labelled("train", count, seed)
        rows = rows.repeat(ceil(section.steps * section.batch / count))  # few labels are seen often
        batches = Batches(take, rows, section.batch)
        return Task(
            part,
            label_objective,
            batches,
            lambda net: add_prefix("val", self._score(net, take, "val")),
            classification_metrics,
        )

    def _score(self, model: nn.Module, take: BatchFn, split: str) -> Metrics:
        rows = self.data.splits[split]
        return classification_metrics(input_logits(model, Batches(take, rows)), self.data.label[rows])

    def _every(self, score: Callable[[int], Metrics]) -> list[Metrics]:
        return map_seeds(score, self.seeds, self.device)


def scratch(params: Params, study: Study, seed: int) -> FineTune:
    """CILP's RGB trunk with the LiDAR net's head, untrained."""
    net = build_seeded(seed, lambda: RgbClassifier(params.cilp.branch, params.lidar.head, params.cilp.norm))
    return net.to(study.device, memory_format=torch.channels_last), study.data.with_label


def pretrained(tuning: str, study: Study, seed: int) -> FineTune:
    """The chain's RGB classifier, zero-shot, and what of it is to learn."""
    return TUNINGS[tuning](load_chain(seed, study.device).classifier(), study.data)


def main() -> None:
    params, device = load_params(), setup_device()
    study = Study(load_arrays(run_folder("prepare") / "arrays", device), params.seeds, device)
    everyone = len(study.data.splits["train"])
    if too_many := [count for count in params.labels.counts if count > everyone]:
        raise PipelineError(f"params.yaml: labels.counts holds {too_many[0]}; there are {everyone} pairs to train on")
    counts = sorted({*params.labels.counts, everyone})
    nets = {"scratch": partial(scratch, params, study), **{name: partial(pretrained, name, study) for name in TUNINGS}}
    rates = {"scratch": params.labels.lr} | {name: getattr(params.classify, name).lr for name in TUNINGS}
    metrics: dict = {"chance": majority_accuracy(study.data.label[study.data.splits["test"]])}
    for name, build in nets.items():
        parts = dict(zip(params.seeds, map_seeds(build, params.seeds, device), strict=True))
        section = replace(params.labels, lr=rates[name])
        metrics[name] = {str(count): study.train(name, parts, section, count) for count in counts}
        if name == "projector":
            metrics["probe"] = {str(count): study.probe(parts, count) for count in counts}
    write_json(run_folder("labels") / "metrics.json", metrics)


if __name__ == "__main__":
    run_command(main)

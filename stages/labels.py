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

from pipeline import device as machine
from pipeline.artifacts import run_folder, write_json
from pipeline.config import Labels, Params, load
from pipeline.data import arrays
from pipeline.errors import PipelineError, run
from pipeline.models.cilp import RgbClassifier
from pipeline.results.chain import TUNINGS, Part, trained_chain
from pipeline.results.metrics import Metrics, classification, majority, prefixed
from pipeline.results.predict import input_logits
from pipeline.results.statistics import over_seeds
from pipeline.training.loop import Task, fit_seeds
from pipeline.training.losses import label_loss
from pipeline.training.tracking import Tracker

Parts = dict[int, Part]  # by seed
Figures = dict[str, float | None]  # over seeds


@dataclass(frozen=True)
class Study:
    """One data set; the nets, the rate they learn at and the number of labels change."""

    data: arrays.Arrays
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
            metrics = over_seeds([score | loss for score, loss in zip(scores, reached, strict=True)])
            tracker.summary(metrics)
        return metrics

    def probe(self, parts: Parts, count: int) -> Figures:
        """A linear classifier on CILP's frozen RGB embedding, the one net here that no classifier had a part in."""

        def score(seed: int) -> Metrics:
            take, test = parts[seed][1], self.data.splits["test"]
            linear = make_pipeline(StandardScaler(), LogisticRegression(max_iter=1000))
            linear.fit(*(side.cpu().numpy() for side in take(self.data.labelled("train", count, seed))))
            logits = linear.decision_function(take(test).inputs.cpu().numpy())
            return classification(torch.from_numpy(logits).float(), self.data.label[test])

        with threadpool_limits(1):  # of the process: sums of several threads come out in any order
            return over_seeds(self._every(score))

    def _task(self, seed: int, net: nn.Module, take: arrays.Take, section: Labels, count: int) -> Task:
        part = copy.deepcopy(net)
        rows = self.data.labelled("train", count, seed)
        rows = rows.repeat(ceil(section.steps * section.batch / count))  # few labels are seen often
        batches = arrays.Batches(take, rows, section.batch)
        return Task(
            part, label_loss, batches, lambda net: prefixed("val", self._score(net, take, "val")), classification
        )

    def _score(self, model: nn.Module, take: arrays.Take, split: str) -> Metrics:
        rows = self.data.splits[split]
        return classification(input_logits(model, arrays.Batches(take, rows)), self.data.label[rows])

    def _every(self, score: Callable[[int], Metrics]) -> list[Metrics]:
        return machine.side_by_side(score, self.seeds, self.device)


def scratch(params: Params, study: Study, seed: int) -> Part:
    """CILP's RGB trunk with the LiDAR net's head, untrained."""
    net = machine.seeded(seed, lambda: RgbClassifier(params.cilp.branch, params.lidar.head, params.cilp.norm))
    return net.to(study.device, memory_format=torch.channels_last), study.data.with_label


def pretrained(tuning: str, study: Study, seed: int) -> Part:
    """The chain's RGB classifier, zero-shot, and what of it is to learn."""
    return TUNINGS[tuning](trained_chain(seed, study.device).classifier(), study.data)


def main() -> None:
    params, device = load(), machine.choose()
    study = Study(arrays.load(run_folder("prepare") / "arrays", device), params.seeds, device)
    everyone = len(study.data.splits["train"])
    if too_many := [count for count in params.labels.counts if count > everyone]:
        raise PipelineError(f"params.yaml: labels.counts holds {too_many[0]}; there are {everyone} pairs to train on")
    counts = sorted({*params.labels.counts, everyone})
    nets = {"scratch": partial(scratch, params, study), **{name: partial(pretrained, name, study) for name in TUNINGS}}
    rates = {"scratch": params.labels.lr} | {name: getattr(params.classify, name).lr for name in TUNINGS}
    metrics: dict = {"chance": majority(study.data.label[study.data.splits["test"]])}
    for name, build in nets.items():
        parts = dict(zip(params.seeds, machine.side_by_side(build, params.seeds, device), strict=True))
        section = replace(params.labels, lr=rates[name])
        metrics[name] = {str(count): study.train(name, parts, section, count) for count in counts}
        if name == "projector":
            metrics["probe"] = {str(count): study.probe(parts, count) for count in counts}
    write_json(run_folder("labels") / "metrics.json", metrics)


if __name__ == "__main__":
    run(main)

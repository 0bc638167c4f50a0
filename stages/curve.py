"""Train every fusion on few scenes: runs/curve/<scenes>/."""

from dataclasses import asdict
from math import ceil

import numpy as np
from torch import Tensor, nn

from pipeline import device as machine
from pipeline.artifacts import run_folder, write_array, write_json
from pipeline.config import load
from pipeline.data import arrays
from pipeline.errors import PipelineError, run
from pipeline.models.fusion import build_fusion
from pipeline.results.metrics import classification, majority, prefixed
from pipeline.results.predict import pair_logits
from pipeline.results.statistics import over_seeds
from pipeline.training.branches import fit_of
from pipeline.training.loop import Log, Row, Task, fit_seeds
from pipeline.training.losses import pair_loss
from pipeline.training.tracking import Tracker


def main(scenes: int) -> None:
    params, device = load(), machine.choose()
    section, folder = params.curve, run_folder("curve", str(scenes))
    data = arrays.load(run_folder("prepare") / "arrays", device)
    everything = len(data.twins("train"))
    if scenes > everything:
        raise PipelineError(f"params.yaml: curve.scenes holds {scenes}; there are {everything} scenes to train on")
    val, test = (arrays.Batches(data.with_xyza, data.splits[split]) for split in ("val", "test"))
    label = data.label[test.rows]

    def evaluate(model: nn.Module) -> dict[str, float]:
        return prefixed("val", classification(pair_logits(model, val), data.label[val.rows]))

    def task(seed: int, net: dict) -> Task:
        rows = data.some_scenes("train", scenes, seed)
        rows = rows.repeat(ceil(section.steps * section.batch / len(rows)))  # few scenes are seen often
        train = arrays.Batches(data.with_xyza, rows, section.batch)
        return Task(machine.seeded(seed, lambda: build_fusion(**net)), pair_loss, train, evaluate, classification)

    def train(fusion: str, log: Log) -> tuple[list[Tensor], dict]:
        """Test logits of every seed, and the figures over seeds."""
        widths = asdict(getattr(params.fusion.nets, fusion))
        net = {"fusion": fusion, "downsample": section.downsample, "widths": widths} | data.standard
        tasks = {seed: task(seed, net) for seed in params.seeds}
        fitted = fit_seeds(tasks, section, section.epochs, log, device, fit_of(fusion))
        said = machine.side_by_side(lambda task: pair_logits(task.model, test), list(tasks.values()), device)
        reached = [{"train_loss": each.history[-1]["train_loss"]} for each in fitted]
        return said, over_seeds([classification(each, label) | loss for each, loss in zip(said, reached, strict=True)])

    told = {}
    # one run for all: its epochs count on from fusion to fusion
    with Tracker(folder, params.seeds, section.epochs * len(section.fusions), device, asdict(section)) as tracker:
        for place, fusion in enumerate(section.fusions):
            before = place * section.epochs

            def log(seed: int, row: Row, before: int = before) -> None:
                tracker.epoch(seed, row | {"epoch": before + row["epoch"]})

            told[fusion] = train(fusion, log)
        figures = {fusion: each for fusion, (_, each) in told.items()}
        tracker.summary({fusion: each["accuracy"] for fusion, each in figures.items()})
    write_array(folder / "logits.npy", np.stack([np.stack(said) for said, _ in told.values()]))  # (fusions, S, N)
    write_json(folder / "metrics.json", {"chance": majority(label), "fusions": figures})


if __name__ == "__main__":
    run(main)

"""Name the class from RGB alone, by way of the LiDAR net's space: zero-shot, then tuned: runs/classify/<tuning>/."""

from dataclasses import asdict

import numpy as np
from torch import Tensor, nn

from pipeline import device as machine
from pipeline.artifacts import RUNS, checkpoint_path, load_checkpoint, run_folder, save_models, write_array, write_json
from pipeline.config import load
from pipeline.data import arrays
from pipeline.errors import run
from pipeline.models.cilp import RgbToLidar
from pipeline.results.chain import TUNINGS, Chain, Part, trained_chain
from pipeline.results.metrics import classification, majority, prefixed
from pipeline.results.predict import input_logits
from pipeline.results.statistics import over_seeds
from pipeline.schema import TuningName
from pipeline.training.loop import Task, costs, fit_seeds
from pipeline.training.losses import label_loss
from pipeline.training.tracking import Tracker


def main(tuning: TuningName) -> None:
    params, device = load(), machine.choose()
    section, folder = getattr(params.classify, tuning), run_folder("classify", tuning)
    data = arrays.load(run_folder("prepare") / "arrays", device)
    label = data.label[data.splits["test"]]

    def assemble(seed: int) -> tuple[RgbToLidar, Part]:
        net = trained_chain(seed, device).classifier()
        return net, TUNINGS[tuning](net, data)

    assembled = dict(zip(params.seeds, machine.side_by_side(assemble, params.seeds, device), strict=True))
    models, parts = ({seed: each[i] for seed, each in assembled.items()} for i in (0, 1))

    def logits(net: nn.Module, seed: int, split: str) -> Tensor:
        return input_logits(net, arrays.Batches(parts[seed][1], data.splits[split]))

    def on_test() -> list[Tensor]:
        return machine.side_by_side(lambda seed: logits(parts[seed][0], seed, "test"), params.seeds, device)

    def task(seed: int) -> Task:
        part, take = parts[seed]
        known = data.label[data.splits["val"]]
        train = arrays.Batches(take, data.splits["train"], section.batch)

        def evaluate(net: nn.Module) -> dict[str, float]:
            return prefixed("val", classification(logits(net, seed, "val"), known))

        return Task(part, label_loss, train, evaluate, classification)

    tasks = {seed: task(seed) for seed in params.seeds}
    before = [prefixed("zero_shot", classification(said, label)) for said in on_test()]
    recipe = asdict(section) | {"tuning": tuning}
    with Tracker(folder, params.seeds, section.epochs, device, recipe, models[params.seeds[0]]) as tracker:
        fitted = fit_seeds(tasks, section, section.epochs, tracker.epoch, device)
        about = {part: load_checkpoint(checkpoint_path(RUNS / part, params.seeds[0]))[1] for part in Chain._fields}
        nets = {part: each["net"] for part, each in about.items()}
        given = {name: value for name, value in about["lidar"].items() if name == "weights_sha256"}
        save_models(folder, models, {"kind": "classify", "net": nets} | given)
        after = on_test()
        rows = [old | classification(said, label) for old, said in zip(before, after, strict=True)]
        metrics = over_seeds(rows) | {"chance": majority(label)} | costs(models, fitted) | given
        tracker.predictions(after, data, data.splits["test"])
        tracker.summary(metrics)
    write_array(folder / "logits.npy", np.stack(after))  # (S, N of test)
    write_json(folder / "metrics.json", metrics)


if __name__ == "__main__":
    run(main)

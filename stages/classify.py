"""Name the class from RGB alone, by way of the LiDAR net's space; zero-shot, then tuned: runs/classify/."""

from dataclasses import asdict

from pipeline import device as machine
from pipeline.artifacts import RUNS, checkpoint_path, load_checkpoint, run_folder, save_models, write_json
from pipeline.config import load
from pipeline.data import arrays
from pipeline.errors import run
from pipeline.models.cilp import RgbToLidar, freeze
from pipeline.results.checkpoints import restore
from pipeline.results.metrics import classification, majority, prefixed
from pipeline.results.predict import outputs
from pipeline.results.statistics import over_seeds
from pipeline.training.loop import Task, costs, fit_seeds
from pipeline.training.losses import embedding_loss
from pipeline.training.tracking import Tracker

PARTS = ("cilp", "project", "lidar")


def main() -> None:
    params, device = load(), machine.choose()
    section, folder = params.classify, run_folder("classify")
    data = arrays.load(run_folder("prepare") / "arrays", device)
    everything = arrays.Batches(data.with_depth, data.all_rows, section.batch)

    def assemble(seed: int) -> tuple[RgbToLidar, arrays.Features]:
        """The net, all frozen but its projector, and what its frozen embedder says of every pair."""
        cilp, projector, lidar = (restore(checkpoint_path(RUNS / part, seed), part, device) for part in PARTS)
        model = RgbToLidar(freeze(cilp.rgb), projector, freeze(lidar.classifier))
        embedding = outputs(lambda batch: model.embedder(batch.rgb), everything)
        return model, arrays.Features(embedding.to(device), data.label)

    assembled = dict(zip(params.seeds, machine.side_by_side(assemble, params.seeds, device), strict=True))
    models = {seed: model for seed, (model, _) in assembled.items()}

    def score(seed: int, split: str) -> dict[str, float]:
        batches = arrays.Batches(assembled[seed][1].rows, data.splits[split], section.batch)
        logits = outputs(lambda batch: models[seed].from_embedding(batch.inputs), batches)
        return classification(logits, data.label[batches.rows])

    def task(seed: int) -> Task:
        train = arrays.Batches(assembled[seed][1].rows, data.splits["train"], section.batch)
        return Task(models[seed], embedding_loss, train, lambda: prefixed("val", score(seed, "val")))

    tasks = {seed: task(seed) for seed in params.seeds}
    zero_shot = [prefixed("zero_shot", score(seed, "test")) for seed in models]
    with Tracker(folder, params.seeds, section.epochs, device, asdict(section)) as tracker:
        fitted = fit_seeds(tasks, section, section.epochs, tracker.epoch, device)
        parts = {part: load_checkpoint(checkpoint_path(RUNS / part, params.seeds[0]))[1]["net"] for part in PARTS}
        save_models(folder, models, {"kind": "classify", "net": parts})
        tuned = [prefixed("tuned", score(seed, "test")) for seed in models]
        rows = [before | after for before, after in zip(zero_shot, tuned, strict=True)]
        chance = {"chance": majority(data.label[data.splits["test"]])}
        metrics = over_seeds(rows) | chance | costs(models, fitted)
        tracker.summary(metrics)
    write_json(folder / "metrics.json", metrics)


if __name__ == "__main__":
    run(main)

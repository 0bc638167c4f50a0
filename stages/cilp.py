"""Contrastive image-LiDAR pretraining of two embedders: runs/cilp/."""

from dataclasses import asdict

from pipeline import device as machine
from pipeline.artifacts import run_folder, save_models, write_array, write_json
from pipeline.config import load
from pipeline.data import arrays
from pipeline.errors import run
from pipeline.models.cilp import CILP
from pipeline.results.chain import score_cilp
from pipeline.results.figures import similarity
from pipeline.results.metrics import prefixed
from pipeline.results.predict import embeddings
from pipeline.results.statistics import over_seeds
from pipeline.training.loop import Task, costs, fit_seeds
from pipeline.training.losses import contrastive_loss
from pipeline.training.tracking import Tracker

SHOWN = 32  # pairs in the similarity matrix: one batch, the picture people know
KEPT = ("val_loss", *(f"val_{name}{way}" for way in ("", "_reverse") for name in ("top1", "top5", "mean_rank")))


def main() -> None:
    params, device = load(), machine.choose()
    section, folder = params.cilp, run_folder("cilp")
    data = arrays.load(run_folder("prepare") / "arrays", device)
    # a cube and the sphere of its scene share a batch: where and which colour cannot tell them apart, only shape can
    train = arrays.Batches(data.with_depth, data.twins("train"), section.batch)
    val, test = (arrays.Batches(data.with_depth, data.twins(name)) for name in ("val", "test"))
    shown = arrays.Batches(data.with_depth, data.twins("test")[: SHOWN // 2])
    net = {name: getattr(section, name) for name in ("branch", "norm", "hidden", "embed", "temperature")}
    net |= data.standard

    def evaluate(model: CILP) -> dict[str, float]:
        scores = score_cilp(model, val, section.batch)
        return {"temperature": scores.pop("temperature"), **prefixed("val", scores)}

    def task(seed: int) -> Task:
        return Task(machine.seeded(seed, lambda: CILP(**net)), contrastive_loss, train, evaluate)

    tasks = {seed: task(seed) for seed in params.seeds}
    models = {seed: task.model for seed, task in tasks.items()}
    recipe = asdict(section)
    with Tracker(folder, params.seeds, section.epochs, device, recipe, models[params.seeds[0]]) as tracker:
        fitted = fit_seeds(tasks, section, section.epochs, tracker.epoch, device)
        save_models(folder, models, {"kind": "cilp", "net": net})
        told = machine.side_by_side(lambda seed: score_cilp(models[seed], test, section.batch), params.seeds, device)
        rows = [row | {name: fit.best[name] for name in KEPT} for row, fit in zip(told, fitted, strict=True)]
        metrics = over_seeds(rows) | costs(models, fitted)
        rgb, lidar = embeddings(models[params.seeds[0]], shown)
        write_array(folder / "similarity.npy", (rgb @ lidar.T).numpy())  # (32, 32), row = RGB, column = LiDAR
        similarity(rgb @ lidar.T, folder / "similarity.png")
        tracker.picture("similarity", folder / "similarity.png")
        tracker.summary(metrics)
    write_json(folder / "metrics.json", metrics)


if __name__ == "__main__":
    run(main)

"""Contrastive image-LiDAR pretraining of two embedders: runs/cilp/."""

from dataclasses import asdict

from pipeline.config.params import load_params
from pipeline.core.checkpoints import save_checkpoints
from pipeline.core.device import build_seeded, map_seeds, setup_device
from pipeline.core.errors import run_command
from pipeline.core.files import write_json, write_npy
from pipeline.core.runs import run_folder
from pipeline.data.arrays import Batches, load_arrays
from pipeline.metrics.classification import add_prefix
from pipeline.metrics.inference import pair_embeddings
from pipeline.metrics.seeds import aggregate_seeds
from pipeline.models.cilp import CILP
from pipeline.report.style import similarity
from pipeline.training.loop import Task, fit_seeds, training_cost
from pipeline.training.objectives import contrastive_objective
from pipeline.training.tracker import Tracker
from pipeline.transfer.chain import cilp_metrics

SHOWN = 32  # pairs in the similarity matrix: one batch, the picture people know
KEPT = ("val_loss", *(f"val_{name}{way}" for way in ("", "_reverse") for name in ("top1", "top5", "mean_rank")))


def main() -> None:
    params, device = load_params(), setup_device()
    section, folder = params.cilp, run_folder("cilp")
    data = load_arrays(run_folder("prepare") / "arrays", device)
    # a cube and the sphere of its scene share a batch: where and which colour cannot tell them apart, only shape can
    train = Batches(data.with_depth, data.scene_pairs("train"), section.batch)
    val, test = (Batches(data.with_depth, data.scene_pairs(name)) for name in ("val", "test"))
    shown = Batches(data.with_depth, data.scene_pairs("test")[: SHOWN // 2])
    net = {name: getattr(section, name) for name in ("branch", "norm", "hidden", "embed", "temperature")}
    net |= data.depth_stats

    def evaluate(model: CILP) -> dict[str, float]:
        scores = cilp_metrics(model, val, section.batch)
        return {"temperature": scores.pop("temperature"), **add_prefix("val", scores)}

    def task(seed: int) -> Task:
        return Task(build_seeded(seed, lambda: CILP(**net)), contrastive_objective, train, evaluate)

    tasks = {seed: task(seed) for seed in params.seeds}
    models = {seed: task.model for seed, task in tasks.items()}
    recipe = asdict(section)
    with Tracker(folder, params.seeds, section.epochs, device, recipe, models[params.seeds[0]]) as tracker:
        fitted = fit_seeds(tasks, section, section.epochs, tracker.epoch, device)
        save_checkpoints(folder, models, {"kind": "cilp", "net": net})
        told = map_seeds(lambda seed: cilp_metrics(models[seed], test, section.batch), params.seeds, device)
        rows = [row | {name: fit.best[name] for name in KEPT} for row, fit in zip(told, fitted, strict=True)]
        metrics = aggregate_seeds(rows) | training_cost(models, fitted)
        rgb, lidar = pair_embeddings(models[params.seeds[0]], shown)
        write_npy(folder / "similarity.npy", (rgb @ lidar.T).numpy())  # (32, 32), row = RGB, column = LiDAR
        similarity(rgb @ lidar.T, folder / "similarity.png")
        tracker.picture("similarity", folder / "similarity.png")
        tracker.summary(metrics)
    write_json(folder / "metrics.json", metrics)


if __name__ == "__main__":
    run_command(main)

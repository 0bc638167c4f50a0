"""Pretrain an RGB and a LiDAR embedder contrastively: runs/cilp/."""

from dataclasses import asdict
from typing import Any

import torch

from pipeline.config.params import Params, load_params
from pipeline.core.device import build_seeded, setup_device
from pipeline.core.errors import run_command
from pipeline.core.files import write_json, write_npy
from pipeline.core.runs import run_folder
from pipeline.data.arrays import Batches, load_arrays
from pipeline.metrics.classification import add_prefix
from pipeline.metrics.inference import pair_embeddings
from pipeline.models.cilp import CILP
from pipeline.training.loop import EpochMetrics, FitResult, Task, Trainer
from pipeline.training.objectives import contrastive_objective
from pipeline.training.ranks import follow, join_ranks
from pipeline.training.seeds import SeedResult, train_over_seeds
from pipeline.training.states import remove_states
from pipeline.transfer.scores import cilp_metrics

SIMILARITY_PAIRS = 32  # one batch: the picture that people know
RETRIEVAL = [f"val_{name}{way}" for way in ("", "_reverse") for name in ("top1", "top5", "mean_rank")]


def main() -> None:
    params = load_params()
    device = setup_device(params.precision)
    with join_ranks(device) as trainer:
        pretrain(params, device, trainer)


def pretrain(params: Params, device: torch.device, trainer: Trainer) -> None:
    """Train and test the embedders of all seeds, and leave the results in runs/cilp/; of several ranks, rank 0 does."""
    section, folder = params.cilp, run_folder("cilp")
    data = load_arrays(run_folder("prepare") / "arrays", device)
    # a cube and the sphere of its scene share a batch: place and colour are equal, so only shape separates them
    train = Batches(data.with_depth, data.scene_pairs("train"), section.batch_size)
    val, test = (Batches(data.with_depth, data.scene_pairs(name)) for name in ("val", "test"))
    net: dict[str, Any] = {
        name: getattr(section, name) for name in ("channels", "norm", "hidden_dims", "embed_dim", "temperature")
    }
    net |= data.depth_stats

    def validate(model: CILP) -> EpochMetrics:
        metrics = cilp_metrics(model, val, section.batch_size)
        return {"temperature": metrics.pop("temperature"), **add_prefix("val", metrics)}

    models = {seed: build_seeded(seed, lambda: CILP(**net)) for seed in params.seeds}

    def evaluate(seed: int, result: FitResult) -> SeedResult:
        best = {name: result.best[name] for name in ("val_loss", *RETRIEVAL)}
        return SeedResult(cilp_metrics(models[seed], test, section.batch_size) | best)

    tasks = {seed: Task(model, contrastive_objective, train, validate) for seed, model in models.items()}
    if follow(tasks, section, section.epochs, device):
        return
    metrics, _ = train_over_seeds(
        folder,
        tasks,
        section,
        section.epochs,
        evaluate,
        data,
        config=asdict(section),
        about={"kind": "cilp", "net": net},
        trainer=trainer,
    )
    first = Batches(data.with_depth, data.scene_pairs("test")[: SIMILARITY_PAIRS // 2])
    rgb, lidar = pair_embeddings(models[params.seeds[0]], first)
    write_npy(folder / "similarity.npy", (rgb @ lidar.T).numpy())  # (32, 32), row = RGB, column = LiDAR
    write_json(folder / "metrics.json", metrics)
    remove_states(folder)


if __name__ == "__main__":
    run_command(main)

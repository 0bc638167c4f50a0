"""Train the projector from CILP's RGB embedding to the LiDAR classifier's features: runs/project/."""

from dataclasses import asdict
from typing import Any

from torch import nn

from pipeline.config.params import load_params
from pipeline.core.device import build_seeded, setup_device
from pipeline.core.errors import run_command
from pipeline.core.files import write_json
from pipeline.core.runs import run_folder
from pipeline.data.arrays import Batches, Examples, load_arrays
from pipeline.metrics.classification import Metrics, add_prefix
from pipeline.models.cilp import CILP, LidarClassifier, build_projector
from pipeline.training.loop import FitResult, Task
from pipeline.training.objectives import projection_objective
from pipeline.training.seeds import SeedResult, map_by_seed, train_over_seeds
from pipeline.training.states import remove_states
from pipeline.transfer.chain import load_part
from pipeline.transfer.metrics import mean_by_chunk
from pipeline.transfer.scores import lidar_features, projector_metrics, rgb_embeddings


def main() -> None:
    params = load_params()
    device = setup_device(params.precision)
    section, folder = params.project, run_folder("project")
    data = load_arrays(run_folder("prepare") / "arrays", device)

    def embed(seed: int) -> Examples:
        """Run every pair once through both frozen nets; the projector trains on their outputs."""
        lidar, cilp = load_part("lidar", LidarClassifier, seed, device), load_part("cilp", CILP, seed, device)
        return Examples(rgb_embeddings(cilp.rgb, data), lidar_features(lidar, data))

    examples = map_by_seed(embed, params.seeds, device)
    means = {seed: mean_by_chunk(each.targets, data.splits["train"]) for seed, each in examples.items()}
    embed_dim, target_dim = (side.shape[1] for side in examples[params.seeds[0]])
    net: dict[str, Any] = {"embed_dim": embed_dim, "hidden_dims": section.hidden_dims, "target_dim": target_dim}
    models = {seed: build_seeded(seed, lambda: build_projector(**net)) for seed in params.seeds}

    def score(seed: int, model: nn.Module, split: str) -> Metrics:
        return projector_metrics(model, Batches(examples[seed].rows, data.splits[split]), means[seed])

    def task(seed: int) -> Task:
        train = Batches(examples[seed].rows, data.splits["train"], section.batch_size)

        def validate(model: nn.Module) -> Metrics:
            return add_prefix("val", score(seed, model, "val"))

        return Task(models[seed], projection_objective, train, validate)

    def evaluate(seed: int, result: FitResult) -> SeedResult:
        return SeedResult(score(seed, models[seed], "test"))

    metrics, _ = train_over_seeds(
        folder,
        {seed: task(seed) for seed in params.seeds},
        section,
        section.epochs,
        evaluate,
        data,
        config=asdict(section),
        about={"kind": "project", "net": net},
    )
    write_json(folder / "metrics.json", metrics)
    remove_states(folder)


if __name__ == "__main__":
    run_command(main)

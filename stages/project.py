"""Train the projector from CILP's RGB embedding to the LiDAR classifier's features: runs/project/."""

from dataclasses import asdict

from torch import Tensor, nn

from pipeline.config.params import load_params
from pipeline.core.checkpoints import save_checkpoints
from pipeline.core.device import build_seeded, map_seeds, setup_device
from pipeline.core.errors import run_command
from pipeline.core.files import write_json
from pipeline.core.runs import run_folder
from pipeline.data.arrays import Batches, Examples, load_arrays
from pipeline.metrics.classification import add_prefix
from pipeline.metrics.seeds import aggregate_seeds
from pipeline.models.cilp import build_projector
from pipeline.training.loop import Task, fit_seeds, training_cost
from pipeline.training.objectives import projection_objective
from pipeline.training.tracker import Tracker
from pipeline.transfer import chain


def main() -> None:
    params, device = load_params(), setup_device()
    section, folder = params.project, run_folder("project")
    data = load_arrays(run_folder("prepare") / "arrays", device)
    everything = Batches(data.with_depth, data.all_rows)

    def look(seed: int) -> Examples:
        """Both nets are frozen here: each sees every pair once, and the projector trains on what they said."""
        return chain.projector_examples(
            *(chain.load_part(part, seed, device) for part in ("lidar", "cilp")), everything
        )

    known = dict(zip(params.seeds, map_seeds(look, params.seeds, device), strict=True))
    means: dict[int, Tensor] = {
        seed: each.target[data.splits["train"]].mean(dim=0).cpu() for seed, each in known.items()
    }
    embed, target = (side.shape[1] for side in known[params.seeds[0]])
    net = {"embed": embed, "hidden": section.hidden, "target": target}

    def score(seed: int, model: nn.Module, split: str) -> dict[str, float]:
        return chain.projector_metrics(model, Batches(known[seed].rows, data.splits[split]), means[seed])

    def task(seed: int) -> Task:
        model = build_seeded(seed, lambda: build_projector(**net))
        train = Batches(known[seed].rows, data.splits["train"], section.batch)
        return Task(model, projection_objective, train, lambda net: add_prefix("val", score(seed, net, "val")))

    tasks = {seed: task(seed) for seed in params.seeds}
    models = {seed: task.model for seed, task in tasks.items()}
    recipe = asdict(section)
    with Tracker(folder, params.seeds, section.epochs, device, recipe, models[params.seeds[0]]) as tracker:
        fitted = fit_seeds(tasks, section, section.epochs, tracker.epoch, device)
        save_checkpoints(folder, models, {"kind": "project", "net": net})
        metrics = aggregate_seeds([score(seed, models[seed], "test") for seed in models]) | training_cost(
            models, fitted
        )
        tracker.summary(metrics)
    write_json(folder / "metrics.json", metrics)


if __name__ == "__main__":
    run_command(main)

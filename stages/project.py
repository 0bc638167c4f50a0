"""Train the projector from CILP's RGB embedding to the LiDAR classifier's features: runs/project/."""

from dataclasses import asdict

from torch import Tensor, nn

from pipeline import device as machine
from pipeline.artifacts import run_folder, save_models, write_json
from pipeline.config import load
from pipeline.data import arrays
from pipeline.errors import run
from pipeline.models.cilp import build_projector
from pipeline.results import chain
from pipeline.results.metrics import prefixed
from pipeline.results.statistics import over_seeds
from pipeline.training.loop import Task, costs, fit_seeds
from pipeline.training.losses import projection_loss
from pipeline.training.tracking import Tracker


def main() -> None:
    params, device = load(), machine.choose()
    section, folder = params.project, run_folder("project")
    data = arrays.load(run_folder("prepare") / "arrays", device)
    everything = arrays.Batches(data.with_depth, data.all_rows)

    def look(seed: int) -> arrays.Features:
        """Both nets are frozen here: each sees every pair once, and the projector trains on what they said."""
        return chain.features(*(chain.trained(part, seed, device) for part in ("lidar", "cilp")), everything)

    known = dict(zip(params.seeds, machine.side_by_side(look, params.seeds, device), strict=True))
    means: dict[int, Tensor] = {
        seed: each.target[data.splits["train"]].mean(dim=0).cpu() for seed, each in known.items()
    }
    embed, target = (side.shape[1] for side in known[params.seeds[0]])
    net = {"embed": embed, "hidden": section.hidden, "target": target}

    def score(seed: int, model: nn.Module, split: str) -> dict[str, float]:
        return chain.score_projector(model, arrays.Batches(known[seed].rows, data.splits[split]), means[seed])

    def task(seed: int) -> Task:
        model = machine.seeded(seed, lambda: build_projector(**net))
        train = arrays.Batches(known[seed].rows, data.splits["train"], section.batch)
        return Task(model, projection_loss, train, lambda net: prefixed("val", score(seed, net, "val")))

    tasks = {seed: task(seed) for seed in params.seeds}
    models = {seed: task.model for seed, task in tasks.items()}
    recipe = asdict(section)
    with Tracker(folder, params.seeds, section.epochs, device, recipe, models[params.seeds[0]]) as tracker:
        fitted = fit_seeds(tasks, section, section.epochs, tracker.epoch, device)
        save_models(folder, models, {"kind": "project", "net": net})
        metrics = over_seeds([score(seed, models[seed], "test") for seed in models]) | costs(models, fitted)
        tracker.summary(metrics)
    write_json(folder / "metrics.json", metrics)


if __name__ == "__main__":
    run(main)

"""Recompute the test figures from the checkpoints alone; refuse any that differs from its stage's: runs/evaluate/."""

from collections.abc import Callable, Mapping
from typing import Any

from torch import nn
from tqdm import tqdm

from pipeline import device as machine
from pipeline.artifacts import RUNS, checkpoint_path, load_checkpoint, read_json, run_folder, write_json
from pipeline.config import load
from pipeline.data import arrays
from pipeline.errors import PipelineError, run
from pipeline.results import assessment, scores
from pipeline.results.chain import TUNINGS, Chain, trained_chain, untrained_chain
from pipeline.results.checkpoints import restore
from pipeline.results.metrics import Metrics
from pipeline.results.statistics import over_seeds

# figures are stored to 6 digits, and a CPU repeats them; a GPU picks its kernels, and with them its rounding, by shape
TOLERANCE = {"cpu": 2e-6, "cuda": 0.02}


def hold(name: str, figures: Mapping[str, Any], tolerance: float) -> None:
    """Raises PipelineError unless `figures` are those in the stage's own metrics.json."""
    told = read_json(RUNS / name / "metrics.json")
    for key, value in figures.items():
        if key.endswith(("_ci95", "_sd")):  # follow from the seeds' values, as the mean does
            continue
        if not abs(value - told.get(key, float("inf"))) <= tolerance * max(1, abs(value)):
            raise PipelineError(
                f"{RUNS / name}: {key} is {told.get(key)} in metrics.json, its checkpoints give {value}: the two "
                f"are of different runs or processors; `dvc repro -f` makes both here"
            )


def main() -> None:
    params, device = load(), machine.choose()
    data = arrays.load(run_folder("prepare") / "arrays", device)
    seeds, batch = params.seeds, params.cilp.batch
    nets = {part: load_checkpoint(checkpoint_path(RUNS / part, seeds[0]))[1]["net"] for part in Chain._fields}
    chains = {seed: trained_chain(seed, device) for seed in seeds}
    bare = {seed: untrained_chain(nets, seed, device) for seed in seeds}
    # the course gives the LiDAR net: this is what somebody submits who has trained nothing
    submitted = {seed: bare[seed]._replace(lidar=chains[seed].lidar) for seed in seeds}

    def each(work: Callable[[int], Any]) -> list[Any]:
        return machine.side_by_side(work, seeds, device)

    def again(name: str, score: Callable[[nn.Module, arrays.Arrays], Metrics]) -> list[Metrics]:
        """Of every seed's checkpoint of a stage or cell."""
        return each(lambda seed: score(restored(name, seed), data))

    def restored(name: str, seed: int) -> nn.Module:
        return restore(checkpoint_path(RUNS / name, seed), name.split("/")[0], device)

    def course(known: list[dict[str, Metrics]], net: Callable[[int], nn.Module]) -> list[assessment.Assessment]:
        losses = {seed: row["cilp"]["course_loss"] for seed, row in zip(seeds, known, strict=True)}
        return each(lambda seed: scores.of_course(losses[seed], net(seed), data))

    trained = each(lambda seed: scores.of_chain(chains[seed], data, batch))
    untrained = each(
        lambda seed: scores.of_chain(submitted[seed], data, batch) | {"lidar": scores.of_lidar(bare[seed].lidar, data)}
    )
    rows = {part: [row[part] for row in trained] for part in Chain._fields}
    for cell in tqdm(params.matrix, desc="evaluate", unit="cell", disable=None):
        rows[f"fusion/{cell}"] = again(f"fusion/{cell}", scores.of_cell)
    for tuning in TUNINGS:
        tuned = again(f"classify/{tuning}", scores.of_classifier)
        rows[f"classify/{tuning}"] = [old["classify"] | new for old, new in zip(trained, tuned, strict=True)]
    figures = {name: over_seeds(of_seeds) for name, of_seeds in rows.items()}
    for name, told in figures.items():
        hold(name, told, TOLERANCE[device.type])
    marks = {
        "untrained": course(untrained, lambda seed: submitted[seed].classifier()),
        "zero-shot": course(trained, lambda seed: chains[seed].classifier()),
    } | {name: course(trained, lambda seed, name=name: restored(f"classify/{name}", seed)) for name in TUNINGS}
    result = {
        "trained": figures,
        "untrained": {part: over_seeds([row[part] for row in untrained]) for part in untrained[0]},
        "assessment": assessment.table(marks),
        "accuracies": {
            name: [row["accuracy"] for row in of_seeds] for name, of_seeds in rows.items() if "accuracy" in of_seeds[0]
        },
    }
    write_json(run_folder("evaluate") / "metrics.json", result)
    print(f"evaluate: the figures of {len(figures) * len(seeds)} checkpoints are what their stages said")


if __name__ == "__main__":
    run(main)

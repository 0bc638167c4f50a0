"""Recompute the test figures from the checkpoints alone; refuse any that differs from its stage's: runs/evaluate/."""

from collections.abc import Callable, Mapping
from typing import Any

from torch import nn
from tqdm import tqdm

from pipeline.config.params import load_params
from pipeline.core.checkpoints import load_checkpoint, restore
from pipeline.core.device import map_seeds, setup_device
from pipeline.core.errors import PipelineError, run_command
from pipeline.core.files import read_json, write_json
from pipeline.core.runs import RUNS, checkpoint_path, run_folder
from pipeline.data.arrays import Arrays, load_arrays
from pipeline.evaluation import assessment, scores
from pipeline.metrics.classification import Metrics
from pipeline.metrics.seeds import aggregate_seeds
from pipeline.models.fusion import build_fusion
from pipeline.transfer.chain import Chain, build_classifier, build_untrained_chain, load_chain
from pipeline.transfer.tuning import TUNINGS

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
    params, device = load_params(), setup_device()
    data = load_arrays(run_folder("prepare") / "arrays", device)
    seeds, batch = params.seeds, params.cilp.batch
    nets = {part: load_checkpoint(checkpoint_path(RUNS / part, seeds[0]))[1]["net"] for part in Chain._fields}
    chains = {seed: load_chain(seed, device) for seed in seeds}
    bare = {seed: build_untrained_chain(nets, seed, device) for seed in seeds}
    # the course gives the LiDAR net: this is what somebody submits who has trained nothing
    submitted = {seed: bare[seed]._replace(lidar=chains[seed].lidar) for seed in seeds}

    def each(work: Callable[[int], Any]) -> list[Any]:
        return map_seeds(work, seeds, device)

    def again(name: str, score: Callable[[nn.Module, Arrays], Metrics]) -> list[Metrics]:
        """Of every seed's checkpoint of a stage or cell."""
        return each(lambda seed: score(restored(name, seed), data))

    def restored(name: str, seed: int) -> nn.Module:
        kind = name.split("/")[0]
        build = {"fusion": build_fusion, "classify": build_classifier}[kind]
        return restore(checkpoint_path(RUNS / name, seed), kind, build, device)

    def course(known: list[dict[str, Metrics]], net: Callable[[int], nn.Module]) -> list[assessment.Assessment]:
        losses = {seed: row["cilp"]["course_loss"] for seed, row in zip(seeds, known, strict=True)}
        return each(lambda seed: scores.score_course(losses[seed], net(seed), data))

    trained = each(lambda seed: scores.score_chain(chains[seed], data, batch))
    untrained = each(
        lambda seed: (
            scores.score_chain(submitted[seed], data, batch) | {"lidar": scores.score_lidar(bare[seed].lidar, data)}
        )
    )
    rows = {part: [row[part] for row in trained] for part in Chain._fields}
    for cell in tqdm(params.matrix, desc="evaluate", unit="cell", disable=None):
        rows[f"fusion/{cell}"] = again(f"fusion/{cell}", scores.score_cell)
    for tuning in TUNINGS:
        tuned = again(f"classify/{tuning}", scores.score_classifier)
        rows[f"classify/{tuning}"] = [old["classify"] | new for old, new in zip(trained, tuned, strict=True)]
    figures = {name: aggregate_seeds(of_seeds) for name, of_seeds in rows.items()}
    for name, told in figures.items():
        hold(name, told, TOLERANCE[device.type])
    marks = {
        "untrained": course(untrained, lambda seed: submitted[seed].classifier()),
        "zero-shot": course(trained, lambda seed: chains[seed].classifier()),
    } | {name: course(trained, lambda seed, name=name: restored(f"classify/{name}", seed)) for name in TUNINGS}
    result = {
        "trained": figures,
        "untrained": {part: aggregate_seeds([row[part] for row in untrained]) for part in untrained[0]},
        "assessment": assessment.summarize_assessments(marks),
        "accuracies": {
            name: [row["accuracy"] for row in of_seeds] for name, of_seeds in rows.items() if "accuracy" in of_seeds[0]
        },
    }
    write_json(run_folder("evaluate") / "metrics.json", result)
    print(f"evaluate: the figures of {len(figures) * len(seeds)} checkpoints are what their stages said")


if __name__ == "__main__":
    run_command(main)

"""Recompute the test figures from the checkpoints alone; refuse any that differs from its stage's: runs/evaluate/."""

from collections.abc import Callable

from torch import nn

from pipeline import device as machine
from pipeline.artifacts import RUNS, cell_names, checkpoint_path, read_json, run_folder, write_json
from pipeline.config import load
from pipeline.data import arrays
from pipeline.errors import PipelineError, run
from pipeline.results.checkpoints import restore
from pipeline.results.metrics import Metrics, classification, prefixed, retrieval
from pipeline.results.predict import embeddings, lidar_logits, pair_logits, rgb_logits
from pipeline.results.statistics import over_seeds

# figures are stored to 6 digits, and a CPU repeats them; a GPU picks its kernels, and with them its rounding, by shape
TOLERANCE = {"cpu": 2e-6, "cuda": 0.02}


def main() -> None:
    params, device = load(), machine.choose()
    data = arrays.load(run_folder("prepare") / "arrays", device)
    test = data.splits["test"]
    label = data.label[test]
    points = arrays.Batches(data.with_xyza, test, params.fusion.batch)
    lidars = arrays.Batches(data.with_depth, test, params.lidar.batch)
    twins = arrays.Batches(data.with_depth, data.twins("test"), params.cilp.batch)
    pictures = arrays.Batches(data.with_depth, test, params.classify.batch)

    def again(name: str, score: Callable[[nn.Module], Metrics]) -> dict[str, float | None]:
        """Mean and interval over seeds of what `score` gives for each checkpoint, held against the stage's own."""
        paths = [checkpoint_path(RUNS / name, seed) for seed in params.seeds]
        kind = name.split("/")[0]
        figures = over_seeds(machine.side_by_side(lambda path: score(restore(path, kind, device)), paths, device))
        told = read_json(RUNS / name / "metrics.json")
        for key, value in figures.items():
            if value is not None and abs(value - told.get(key, float("inf"))) > TOLERANCE[device.type]:
                raise PipelineError(
                    f"{RUNS / name}: {key} is {told.get(key)} in metrics.json, its checkpoints give {value}: the two "
                    f"are of different runs or processors; `dvc repro -f` makes both here"
                )
        return figures

    cells = cell_names(params.matrix.fusion, params.matrix.downsample)
    scores: dict[str, Callable[[nn.Module], Metrics]] = {
        **{f"fusion/{cell}": lambda net: classification(pair_logits(net, points), label) for cell in cells},
        "lidar": lambda net: classification(lidar_logits(net, lidars), label),
        "cilp": lambda net: retrieval(*embeddings(net, twins)),
        "classify": lambda net: prefixed("tuned", classification(rgb_logits(net, pictures), label)),
    }
    figures = {name: again(name, score) for name, score in scores.items()}
    write_json(run_folder("evaluate") / "metrics.json", figures)
    print(f"evaluate: the figures of {len(figures) * len(params.seeds)} checkpoints are what their stages said")


if __name__ == "__main__":
    run(main)

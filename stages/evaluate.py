"""Recompute the test figures from the checkpoints alone; refuse any that differs from its stage's: runs/evaluate/."""

from collections.abc import Callable
from pathlib import Path

from pipeline import device as machine
from pipeline.artifacts import RUNS, cell_names, checkpoint_path, read_json, run_folder, write_json
from pipeline.config import load
from pipeline.data import arrays
from pipeline.errors import PipelineError, run
from pipeline.results.checkpoints import restore
from pipeline.results.metrics import Metrics, classification, retrieval
from pipeline.results.predict import embeddings, lidar_logits, pair_logits, rgb_logits
from pipeline.results.statistics import over_seeds

TOLERANCE = 1e-6  # figures are stored to 6 digits; the same machine repeats them exactly


def main() -> None:
    params, device = load(), machine.choose()
    data = arrays.load(run_folder("prepare") / "arrays", device)
    label = data.label[data.splits["test"]]
    points = arrays.Batches(data.with_xyza, data.splits["test"], params.fusion.batch)
    depths = arrays.Batches(data.with_depth, data.splits["test"], params.cilp.batch)
    twins = arrays.Batches(data.with_depth, data.twins("test"), params.cilp.batch)

    def again(folder: Path, score: Callable[[object], Metrics]) -> dict[str, float | None]:
        """Mean and interval over seeds of what `score` gives for each checkpoint, held against the stage's own."""
        paths = [checkpoint_path(folder, seed) for seed in params.seeds]
        figures = over_seeds(machine.each(lambda path: score(restore(path, device)), paths, device))
        told = read_json(folder / "metrics.json")
        for name, value in figures.items():
            if value is not None and abs(value - told[name]) > TOLERANCE:
                raise PipelineError(
                    f"{folder}/metrics.json: {name} is {told[name]}, the checkpoints give {value}; run `dvc repro -f`"
                )
        return figures

    cells = cell_names(params.matrix.fusion, params.matrix.downsample)
    scores = {f"fusion/{cell}": lambda net: classification(pair_logits(net, points), label) for cell in cells}
    scores |= {
        "lidar": lambda net: classification(lidar_logits(net, depths), label),
        "cilp": lambda net: retrieval(*embeddings(net, twins)),
        "classify": lambda net: {f"tuned_{k}": v for k, v in classification(rgb_logits(net, depths), label).items()},
    }
    figures = {name: again(RUNS / name, score) for name, score in scores.items()}
    write_json(run_folder("evaluate") / "metrics.json", figures)
    print(f"evaluate: the figures of {len(figures) * len(params.seeds)} checkpoints are what their stages said")


if __name__ == "__main__":
    run(main)

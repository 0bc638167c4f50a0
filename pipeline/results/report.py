"""Tables, Markdown and the summary, from metrics files alone."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from pipeline.artifacts import RUNS, cell_name, read_json

Metrics = Mapping[str, Any]
COSTS = {"parameters": "parameters", "seconds_per_epoch": "s/epoch", "peak_memory_mb": "peak MB", "epochs": "epochs"}
SCORES = {"val_loss": "val loss", "loss": "test loss", "accuracy": "test accuracy", "f1": "test F1"}


def read_cells(fusions: Sequence[str], downsamples: Sequence[str]) -> dict[str, dict[str, Metrics]]:
    """fusion -> downsampling -> metrics of the cell; raises PipelineError if a cell has none."""
    return {
        fusion: {name: read_json(RUNS / "fusion" / cell_name(fusion, name) / "metrics.json") for name in downsamples}
        for fusion in fusions
    }


def hardest(logits: np.ndarray, label: np.ndarray, count: int) -> tuple[np.ndarray, np.ndarray]:
    """(N,) logits, (N,) labels -> rows by rising probability of the true class, and how sure the net is there."""
    chosen = np.argsort(np.where(label == 1, logits, -logits), kind="stable")[:count]
    return chosen, 1 / (1 + np.exp(-np.abs(logits[chosen])))


def leading(cells: Mapping[str, Metrics]) -> str:
    """The fusion of the lowest validation loss."""
    return min(cells, key=lambda fusion: cells[fusion]["val_loss"])


def with_interval(metrics: Metrics, name: str, digits: int = 4) -> str:
    """`mean ± half-width` of the 95% interval; the mean alone where one seed gave it."""
    half = metrics.get(f"{name}_ci95")
    return f"{metrics[name]:.{digits}f}" + ("" if half is None else f" ± {half:.{digits}f}")


def numbers(cells: Mapping[str, Metrics]) -> pd.DataFrame:
    """One row a cell, every figure a column, for CSV."""
    return pd.DataFrame.from_dict({name: dict(metrics) for name, metrics in cells.items()}, orient="index").rename_axis(
        "cell"
    )


def comparison(cells: Mapping[str, Metrics]) -> str:
    """Markdown: losses, accuracy, F1 and costs of the fusions beside the chance level, a row each."""
    rows = [
        {"fusion": name}
        | {title: with_interval(metrics, key) for key, title in SCORES.items()}
        | {"chance": f"{metrics['chance']:.3f}"}
        | {title: _plain(metrics[key]) for key, title in COSTS.items()}
        for name, metrics in cells.items()
    ]
    return markdown(rows)


def ablation(pairs: Mapping[str, Mapping[str, Metrics]], base: str) -> str:
    """Markdown: a row per fusion and downsampling; differences from `base` of the same fusion in brackets."""
    rows = []
    for fusion, cells in pairs.items():
        for downsample, metrics in cells.items():
            other = None if downsample == base else cells.get(base)
            row = {"fusion": fusion, "downsampling": downsample}
            row |= {title: with_interval(metrics, key) + _change(metrics, other, key) for key, title in SCORES.items()}
            row |= {title: _plain(metrics[key]) + _ratio(metrics, other, key) for key, title in COSTS.items()}
            rows.append(row)
    return markdown(rows)


def markdown(rows: list[dict[str, str]]) -> str:
    """A Markdown table; every value is text already."""
    return pd.DataFrame(rows).to_markdown(index=False, disable_numparse=True) + "\n"


def _plain(value: float) -> str:
    return f"{value:,}" if isinstance(value, int) else f"{value:,.2f}"


def _change(metrics: Metrics, base: Metrics | None, name: str) -> str:
    return "" if base is None else f" ({metrics[name] - base[name]:+.4f})"


def _ratio(metrics: Metrics, base: Metrics | None, name: str) -> str:
    return "" if base is None else f" (x{metrics[name] / base[name]:.2f})"


def summary(
    cells: Mapping[str, Mapping[str, Metrics]], lidar: Metrics, cilp: Metrics, project: Metrics, classify: Metrics
) -> dict:
    """The headline numbers: means over seeds on the test split, each kind beside its chance level."""
    return {
        "accuracy": {
            cell_name(fusion, name): metrics["accuracy"]
            for fusion, each in cells.items()
            for name, metrics in each.items()
        },
        "chance_accuracy": classify["chance"],
        "lidar_accuracy": lidar["accuracy"],
        "zero_shot_accuracy": classify["zero_shot_accuracy"],
        "tuned_accuracy": classify["tuned_accuracy"],
        "cilp_top1": cilp["top1"],
        "chance_top1": round(cilp["chance_top1"], 6),
        "cilp_top5": cilp["top5"],
        "chance_top5": round(cilp["chance_top5"], 6),
        "project_r2": project["r2"],
    }


def chain(lidar: Metrics, cilp: Metrics, project: Metrics, classify: Metrics) -> str:
    """Markdown: each step from LiDAR classifier to RGB classifier, beside what knowing nothing gives."""
    steps = (
        ("LiDAR classifier: accuracy", lidar, "accuracy", lidar["chance"]),
        ("CILP: contrastive loss", cilp, "loss", cilp["chance_loss"]),
        ("CILP: retrieval top-1, RGB to LiDAR", cilp, "top1", cilp["chance_top1"]),
        ("CILP: retrieval top-5, RGB to LiDAR", cilp, "top5", cilp["chance_top5"]),
        ("CILP: retrieval top-1, LiDAR to RGB", cilp, "top1_reverse", cilp["chance_top1"]),
        ("projector: mean squared error", project, "loss", project["chance_loss"]),
        ("projector: R2", project, "r2", 0.0),
        ("RGB to LiDAR class, zero-shot: accuracy", classify, "zero_shot_accuracy", classify["chance"]),
        ("RGB to LiDAR class, projector tuned: accuracy", classify, "tuned_accuracy", classify["chance"]),
    )
    return markdown(
        [
            {"step": title, "test": with_interval(metrics, name), "knowing nothing": f"{chance:.4f}"}
            for title, metrics, name, chance in steps
        ]
    )


PAGE = """# RGB + LiDAR fusion and CILP: results

{pairs} pairs of RGB and LiDAR: {train} to train on, {val} to choose the epoch by, {test} to report on, split by scene.
Figures are means over {seeds} seeds ± the half-width of the 95% interval (Student's t). The interval speaks of the
seeds, not of the choice of test pairs: one pair more or less is {pair:.4f} of accuracy.

± 0.0000 means that all seeds got the same number of pairs right, not that the figure is exact.

## Fusion
Which way to join the modalities? All nets of this table downsample by {base}; best and worst differ by {gap:.1f} test
pairs.

{fusion}
Seconds are computing time of one seed's epoch; memory is the peak of the process (on a GPU: of the device).

![Validation accuracy by epoch, mean and range over seeds](fusion.png)

The test pairs that `{best}` (lowest validation loss of the table, first seed) finds hardest, hardest first. The title
is the class that it names and the probability it gives it; red is wrong, with the true class below.

![Hardest test pairs](predictions.png)

## Ablation
The same nets with other downsampling; in brackets the difference from {base}, or the ratio to it for costs.

{ablation}
## From LiDAR to RGB alone (CILP)
Two embedders are pretrained to agree on pairs; a projector carries RGB embeddings into the feature space of a LiDAR
classifier, whose frozen head then names the class from RGB alone: zero-shot with the projector as it is, tuned after it
has been trained further on labels. Chance of the contrastive loss is the mean of ln(size) over the batches.

{chain}
![Retrieval on the validation split](cilp.png)

![Similarity matrix of 32 test pairs](similarity.png)

Neighbours 2k and 2k + 1 are the cube and the sphere of one scene (first seed).

All figures of a stage are in its `metrics.json`, every cell's also in `../compare/fusion.csv` and
`../ablation/ablation.csv`; `../evaluate/metrics.json` holds what the checkpoints gave when asked again.
"""


def page(data: Metrics, tables: Mapping[str, str], base_cells: Mapping[str, Metrics], base: str, seeds: int) -> str:
    """The whole report as Markdown; `tables` are those of fusion, ablation and chain, `base_cells` those compared."""
    counts = {split: sum(data[split].values()) for split in ("train", "val", "test")}
    accuracies = [metrics["accuracy"] for metrics in base_cells.values()]
    gap = (max(accuracies) - min(accuracies)) * counts["test"]
    best = cell_name(leading(base_cells), base)
    return PAGE.format(
        pairs=data["pairs"], pair=1 / counts["test"], gap=gap, base=base, best=best, seeds=seeds, **counts, **tables
    )

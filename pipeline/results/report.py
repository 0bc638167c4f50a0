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


def summary(cells: Mapping[str, Mapping[str, Metrics]], evaluated: Mapping[str, Any], chance: float) -> dict:
    """The headline numbers: means over seeds on the test split, each kind beside its chance level."""
    figures = evaluated["trained"]
    return {
        "accuracy": {
            cell_name(fusion, name): metrics["accuracy"]
            for fusion, each in cells.items()
            for name, metrics in each.items()
        },
        "lidar_accuracy": figures["lidar"]["accuracy"],
        "zero_shot_accuracy": figures["classify/projector"]["zero_shot_accuracy"],
        "tuned_projector_accuracy": figures["classify/projector"]["accuracy"],
        "tuned_everything_accuracy": figures["classify/everything"]["accuracy"],
        "chance_accuracy": chance,
        "cilp_top1": figures["cilp"]["top1"],
        "chance_top1": figures["cilp"]["chance_top1"],
        "cilp_top5": figures["cilp"]["top5"],
        "chance_top5": figures["cilp"]["chance_top5"],
        "project_r2": figures["project"]["r2"],
    }


PAGE = """# RGB + LiDAR fusion and CILP: results

{pairs} pairs of RGB and LiDAR: {train} to train on, {val} to choose the epoch by, {test} to report on, split by scene.
Figures are means over seeds ({seeds} here) ± the half-width of the 95% interval (Student's t), which a single seed
does not have. The interval speaks of the seeds, not of the choice of test pairs: one pair more or less is {pair:.4f}
of accuracy. ± 0.0000 means that all seeds got the same number of pairs right, not that the figure is exact.

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
classifier, whose head then names the class from RGB alone: zero-shot with every part as it was trained, or tuned on
labels, either the projector alone or everything. All {test} test pairs compete in the retrieval.

{chain}
Untrained is what the same nets give before any training, with the trained LiDAR net where they aim at it. Chance is
1/N, 5/N and (N + 1)/2 for retrieval, the more frequent class for accuracy, and the mean of the training targets for
the projector; alignment's is that of pairs that do not belong together, of the trained nets as the projector's. A
contrastive loss of batches of B pairs is ln B when nothing is known, and B vectors cannot all point apart, so it
cannot fall below ln(1 + (B - 1) exp(-s B / (B - 1))) at scale s. Uniformity is 0 when all embeddings are alike, near
-4 when they are evenly spread. The course's loss has s = 1/2: it is near its floor within a few epochs, and says
little of the retrieval, which goes on rising:

![Retrieval and the course's loss on the validation split, by epoch](cilp.png)

![Similarity matrix of test pairs](similarity.png)

Row RGB, column LiDAR; neighbours 2k and 2k + 1 are the cube and the sphere of one scene (first seed). They count as
different pairs, in training too: only the shape tells them apart, and the shape is what the embeddings are for.

### The course's assessment
A loss under {pass_loss} gives {loss_points} points, each of five batches above {min_accuracy} gives one, and
{pass_points} of 10 pass. Here on batches with as many cubes as spheres; a column lists the seeds:

{assessment}
In the course's batches of 32, chance is ln 32 = 3.466: below the pass mark, so that untrained nets have those points.

### What pretraining buys
Test accuracy of RGB classifiers by the number of labelled pairs they are trained on, each seed with its own draw:

{labels}
From scratch: CILP's RGB trunk and the LiDAR net's head, untrained. Linear probe: a linear classifier on the frozen
RGB embedding. Projector and everything: the zero-shot classifier, tuned; it rests on a LiDAR net that saw all labels
of the training split, and zero-shot it has {zero_shot}. Few labels are seen often, so that every net trains long
enough: the highest mean training loss at the end is {train_loss:.3f}. All but the probe choose their epoch by the
whole validation split.

![Test accuracy by number of labels](labels.png)

All figures of a stage are in its `metrics.json`, every cell's also in `../compare/fusion.csv` and
`../ablation/ablation.csv`; `../evaluate/metrics.json` holds what the checkpoints gave when asked again. What may be
shipped, and its limits: [model_card.md](model_card.md).
"""


def page(data: Metrics, fill: Mapping[str, Any], base_cells: Mapping[str, Metrics], base: str, seeds: int) -> str:
    """The whole report as Markdown; `base_cells` are those compared, all else in `fill` goes where its name stands."""
    counts = {split: sum(data[split].values()) for split in ("train", "val", "test")}
    accuracies = [metrics["accuracy"] for metrics in base_cells.values()]
    gap = (max(accuracies) - min(accuracies)) * counts["test"]
    best = cell_name(leading(base_cells), base)
    counts |= {"pairs": data["pairs"], "pair": 1 / counts["test"], "gap": gap}
    return PAGE.format(base=base, best=best, seeds=seeds, **counts, **fill)

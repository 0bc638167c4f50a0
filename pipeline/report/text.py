"""The page and the summary, from metrics files alone; tables and prose of the studies come from their own modules."""

from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from pipeline.report.cells import best_cell

Metrics = Mapping[str, Any]


def with_interval(metrics: Metrics, name: str, digits: int = 4) -> str:
    """`mean ± half-width` of the 95% interval; the mean alone where one seed gave it."""
    half = metrics.get(f"{name}_ci95")
    return f"{metrics[name]:.{digits}f}" + ("" if half is None else f" ± {half:.{digits}f}")


def markdown(rows: list[dict[str, str]]) -> str:
    """A Markdown table; every value is text already."""
    return pd.DataFrame(rows).to_markdown(index=False, disable_numparse=True) + "\n"


class Sample(NamedTuple):
    """A test pair and what one net says of it."""

    pair: int  # in the order of the test split
    cell: str
    said: int  # 0 cube, 1 sphere
    sure: float  # probability that the net gives to what it says, 0.5 to 1


def mistakes(logits: Mapping[str, np.ndarray], label: np.ndarray, count: int) -> list[Sample]:
    """Cell -> (N,) logits: the surest mistakes of all cells, at most one a pair."""
    found = [_sample(cell, said, pair) for cell, said in logits.items() for pair in np.flatnonzero((said > 0) != label)]
    surest = {}
    for sample in sorted(found, key=lambda sample: -sample.sure):
        surest.setdefault(sample.pair, sample)
    return list(surest.values())[:count]


def closest(cell: str, logits: np.ndarray, label: np.ndarray, count: int) -> list[Sample]:
    """The pairs that a cell names rightly with the least probability."""
    right = np.flatnonzero((logits > 0) == label)
    return [_sample(cell, logits, pair) for pair in right[np.argsort(np.abs(logits[right]), kind="stable")][:count]]


def _sample(cell: str, logits: np.ndarray, pair: int) -> Sample:
    return Sample(int(pair), cell, int(logits[pair] > 0), float(1 / (1 + np.exp(-np.abs(logits[pair])))))


def summary(cells: Mapping[str, Metrics], evaluated: Mapping[str, Any], chance: float) -> dict:
    """The headline numbers: means over seeds on the test split, each kind beside its chance level.

    The leader is the cell of the lowest validation loss, by which experiments are put in order.
    """
    figures, leader = evaluated["trained"], best_cell(cells)
    told = ("val_loss", "val_loss_ci95", "accuracy", "accuracy_ci95")
    return {
        "leader": {"cell": leader} | {name: cells[leader].get(name) for name in told},
        "accuracy": {name: metrics["accuracy"] for name, metrics in cells.items()},
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

Verdicts come from a paired test between two nets on the same seeds and the same test scenes: an analysis of variance
that takes both as drawn anew (the one for many readers and many cases, seeds being the readers), because the question
is whether another training, tested on other scenes, would say the same. A test over the seeds alone would hold for
these scenes only, one over the scenes alone for these weights only. p is corrected (Holm) for the number of comparisons
of its table, or of its column where every column is a question of its own; under 0.05 it says better or worse, else not
distinguishable, which does not mean equal: few seeds tell only large differences apart.

## Data
What the nets are given, as `prepare` found it: files of both sensors, made into pairs and split by scene.

{data_table}
Ranges are in Omniverse units along the ray; a pixel is lit if it is not black, and its brightness is the largest of R,
G and B, 0 to 255. Below by class; the ranges are those of at most {frames:,} evenly spaced frames of each.

![Pairs and files, ranges, returns, lit pixels and brightness, by class](data.png)

{data_prose}
{shortcut_table}
Scenes of the training split, evenly spaced by number. Depth is turned so that it lies as RGB does; the fields of view
differ, so that an object fills another part of either. A cube and its sphere share a box in space.

![The cube and the sphere of a few scenes: RGB, LiDAR depth and returns in space](contact.png)

## Fusion
Which way to join the modalities, and is it worth having both? All nets of this table downsample by {base}; they differ
in the fusion. The leader is the cell of the lowest validation loss, so that the test split had no part in the choice.

{fusion}
Seconds are computing time of one seed's epoch (for `late_frozen`, of its three trainings); memory is the peak of the
process (on a GPU: of the device). ECE is how far a net's confidence is from its accuracy, 0 at best.

{fusion_prose}
![Validation accuracy by epoch, mean and range over seeds](fusion.png)

![Test accuracy against parameters and against time](costs.png)

Confusion matrices, counts of all seeds together (row: the true class, column: the class named):

![Confusion matrices](confusion.png)

Pairs with what the nets of the first seed say of them, and the probability they give it. In red the surest mistakes of
any fusion, with its name; in black the pairs that the leader gets right with the least confidence.

![Right and wrong predictions, both sensors](predictions.png)

## Ablation
The same nets with other downsampling; in brackets the difference from {base}, or the ratio to it for costs.

{ablation}
{ablation_prose}
## Learning curve
The same fusions trained on fewer scenes, drawn by seed and the same for every fusion; few scenes are shown often. All
choose their epoch by the whole validation split. An asterisk: told from the reference in the same column.

{curve}
![Test accuracy by number of training scenes](curve.png)

{curve_prose}
## Stress
The trained nets under sensor faults that they never saw, on {stressed} test pairs, without retraining. Accuracy is the
mean over the severities of a fault; an asterisk: told from the leader in the same column.

{stress}
`other scene` shows LiDAR of another scene with the same shape, so that the label stays true. `other shape` shows LiDAR
of another scene with the other shape: accuracy there is how often a net believes RGB where the two disagree.

![Test accuracy by fault and severity](stress.png)

{stress_prose}
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

{cilp_prose}
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

{labels_prose}

All figures of a stage are in its `metrics.json`, every cell's also in `../compare/fusion.csv` and
`../ablation/ablation.csv`; `../evaluate/metrics.json` holds what the checkpoints gave when asked again. What may be
shipped, and its limits: [model_card.md](model_card.md).
"""


def page(data: Metrics, fill: Mapping[str, Any], seeds: int) -> str:
    """The whole report as Markdown; everything in `fill` goes where its name stands."""
    counts = {split: sum(data[split].values()) for split in ("train", "val", "test")}
    return PAGE.format(seeds=seeds, pairs=data["pairs"], pair=1 / counts["test"], **counts, **fill)

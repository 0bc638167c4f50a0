"""The fusion study's evidence: figures beside verdicts, from what the stages left. No tables, no prose.

What answers one question is one family of comparisons, corrected for its number: a table's, or a column's where every
column is a question of its own. The reference is chosen by the validation split alone.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from pipeline.core.files import read_json, read_npy
from pipeline.core.runs import RUNS
from pipeline.metrics.seeds import aggregate_seeds
from pipeline.report import cells
from pipeline.report.cells import Matrix, TestSet
from pipeline.report.significance import Verdict, compare_pairs, compare_to_reference

Figures = Mapping[str, Any]


@dataclass(frozen=True)
class Comparison:
    """The cells that differ in the fusion alone, each but the leader with what may be said of it beside the leader."""

    cells: dict[str, Figures]
    leader: str  # of the lowest validation loss
    verdicts: dict[str, Verdict]


@dataclass(frozen=True)
class Ablation:
    """Fusion -> its cells by downsampling, each but the first with what may be said of it beside the first."""

    groups: dict[str, list[str]]
    cells: dict[str, Figures]
    verdicts: dict[str, Verdict]


@dataclass(frozen=True)
class Curve:
    """Accuracy by number of training scenes; `reference` is the leader's fusion, or the first where that is absent."""

    points: dict[int, dict[str, Figures]]  # scenes -> fusion -> figures; the last point is all of the training split
    verdicts: dict[tuple[int, str], Verdict]
    reference: str
    chance: float


@dataclass(frozen=True)
class Stress:
    """Accuracy under faults; of every fault the mean over its severities has a verdict beside the leader."""

    accuracy: dict[str, dict[str, list[tuple[float | None, Figures]]]]  # fault -> cell -> by severity
    means: dict[str, dict[str, Figures]]  # fault -> cell -> accuracy over all severities
    verdicts: dict[tuple[str, str], Verdict]  # (fault, cell)
    leader: str
    pairs: int
    chance: float


def comparison(matrix: Matrix, known: TestSet) -> Comparison:
    """Fusions on the first downsampling."""
    names = cells.base_cells(matrix)
    figures = cells.read_metrics(names)
    leader = cells.best_cell(figures)
    return Comparison(figures, leader, compare_to_reference(cells.scene_scores(names, known), leader))


def ablation(matrix: Matrix, known: TestSet) -> Ablation:
    """Downsamplings of the same fusion."""
    groups = cells.ablation_groups(matrix)
    names = [name for group in groups.values() for name in group]
    scores = cells.scene_scores(names, known)
    pairs = {name: (scores[name], scores[group[0]]) for group in groups.values() for name in group[1:]}
    return Ablation(groups, cells.read_metrics(names), compare_pairs(pairs))


def curve(fusions: list[str], scenes: list[int], downsample: str, matrix: Matrix, known: TestSet, leader: str) -> Curve:
    """Fusions by number of training scenes; all of them are the cells of the same downsampling, where there are any."""
    points: dict[int, dict[str, Figures]] = {}
    right: dict[int, dict[str, np.ndarray]] = {}
    for count in sorted(scenes):
        folder = RUNS / "curve" / str(count)
        points[count] = read_json(folder / "metrics.json")["fusions"]
        logits = cells.is_correct(read_npy(folder / "logits.npy"), known.label)  # (fusions, S, N)
        right[count] = dict(zip(points[count], cells.mean_by_scene(logits, known.scene), strict=True))
    names = {matrix[name].fusion: name for name in matrix if matrix[name].downsample == downsample}
    whole = {fusion: names[fusion] for fusion in fusions if fusion in names}
    if whole:
        everything = sum(read_json(RUNS / "prepare" / "metrics.json")["train"].values()) // 2
        points[everything] = dict(zip(whole, cells.read_metrics(list(whole.values())).values(), strict=True))
        right[everything] = dict(zip(whole, cells.scene_scores(list(whole.values()), known).values(), strict=True))
    reference = matrix[leader].fusion if matrix[leader].fusion in fusions else fusions[0]
    told = {
        (count, fusion): verdict
        for count, each in right.items()
        if reference in each
        for fusion, verdict in compare_to_reference(each, reference).items()
    }
    chance = read_json(RUNS / "curve" / str(scenes[0]) / "metrics.json")["chance"]
    return Curve(points, told, reference, chance)


def stress(matrix: Matrix, known: TestSet, leader: str) -> Stress:
    """Every cell under every fault; verdicts among those that differ in the fusion alone."""
    folder = RUNS / "stress"
    told = read_json(folder / "metrics.json")
    pairs = told["pairs"]
    label = np.tile([0, 1], pairs // 2)  # scene by scene, the cube first
    right = cells.is_correct(read_npy(folder / "logits.npy"), label)  # (cells, conditions, S, N)
    faults: dict[str, list[int]] = {}
    for place, (fault, _) in enumerate(told["conditions"]):
        faults.setdefault(fault, []).append(place)
    accuracy: dict[str, dict[str, list]] = {fault: {} for fault in faults}
    for row in told["accuracy"]:
        accuracy[row["fault"]].setdefault(row["cell"], []).append((row["severity"], row))
    scores = {
        (fault, cell): cells.mean_by_scene(right[i][places].mean(axis=0), np.arange(pairs) // 2)  # (S, scenes)
        for fault, places in faults.items()
        for i, cell in enumerate(told["cells"])
    }
    means: dict[str, dict[str, Figures]] = {fault: {} for fault in faults}
    for (fault, cell), score in scores.items():
        means[fault][cell] = aggregate_seeds([{"accuracy": float(seed.mean())} for seed in score])
    names = cells.base_cells(matrix)
    verdict = {
        (fault, cell): each
        for fault in faults
        for cell, each in compare_to_reference({name: scores[fault, name] for name in names}, leader).items()
    }
    return Stress(accuracy, means, verdict, leader, pairs, told["chance"])

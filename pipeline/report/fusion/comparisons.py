"""The comparisons of the fusion study: metrics beside verdicts, from what the stages left. No tables, no text.

What answers one question is one family of comparisons, corrected for its number: a table's, or a column's where every
column is a question of its own. The reference is chosen by the validation split alone.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from pipeline.core.files import read_json, read_npy
from pipeline.core.runs import RUNS
from pipeline.metrics.seeds import aggregate_seeds
from pipeline.report.cells import (
    Matrix,
    Metrics,
    TestSet,
    ablation_groups,
    base_cells,
    best_cell,
    is_correct,
    mean_by_scene,
    read_costs,
    read_metrics,
    scene_scores,
)
from pipeline.report.significance import Verdict, compare_pairs, compare_to_reference


@dataclass(frozen=True)
class Comparison:
    """The cells that differ in the fusion alone, each but the leader with its verdict beside the leader."""

    cells: Mapping[str, Metrics]
    leader: str  # the cell of the lowest validation loss
    verdicts: dict[str, Verdict]


@dataclass(frozen=True)
class Ablation:
    """The cells of each fusion by downsampling, each but the first with its verdict beside the first."""

    groups: dict[str, list[str]]
    cells: Mapping[str, Metrics]
    verdicts: dict[str, Verdict]


@dataclass(frozen=True)
class Curve:
    """Accuracy by number of training scenes; `reference` is the leader's fusion, or the first where that is absent."""

    points: dict[int, dict[str, Metrics]]  # scenes -> fusion -> metrics; the last point is the whole training split
    verdicts: dict[tuple[int, str], Verdict]
    reference: str
    chance: float


@dataclass(frozen=True)
class Stress:
    """Accuracy under faults; the mean over the severities of every fault has a verdict beside the leader."""

    accuracy: dict[str, dict[str, list[tuple[float | None, Metrics]]]]  # fault -> cell -> by severity
    means: dict[str, dict[str, Metrics]]  # fault -> cell -> accuracy over all severities
    by_seed: dict[str, dict[str, list[float]]]  # fault -> cell -> the same of every seed
    verdicts: dict[tuple[str, str], Verdict]  # (fault, cell)
    leader: str
    pairs: int
    chance: float


def compare_fusions(matrix: Matrix, test_set: TestSet) -> Comparison:
    """Compare the fusions on the base downsampling."""
    names = base_cells(matrix)
    metrics = read_costs(names)
    leader = best_cell(metrics)
    return Comparison(metrics, leader, compare_to_reference(scene_scores(names, test_set), leader))


def compare_downsampling(matrix: Matrix, test_set: TestSet) -> Ablation:
    """Compare the downsamplings of each fusion with the base one."""
    groups = ablation_groups(matrix)
    names = [name for group in groups.values() for name in group]
    scores = scene_scores(names, test_set)
    pairs = {name: (scores[name], scores[group[0]]) for group in groups.values() for name in group[1:]}
    return Ablation(groups, read_costs(names), compare_pairs(pairs))


def learning_curve(
    fusions: Sequence[str], scenes: Sequence[int], downsample: str, matrix: Matrix, test_set: TestSet, leader: str
) -> Curve:
    """Compare fusions at each number of training scenes; the last point are the cells of `downsample`, if any."""
    points: dict[int, dict[str, Metrics]] = {}
    scores: dict[int, dict[str, np.ndarray]] = {}
    for count in sorted(scenes):
        folder = RUNS / "curve" / str(count)
        recorded = read_json(folder / "metrics.json")
        kind = {key: recorded[key] for key in ("precision",) if key in recorded}
        points[count] = {fusion: metrics | kind for fusion, metrics in recorded["fusions"].items()}
        correct = is_correct(read_npy(folder / "logits.npy"), test_set.label)  # (fusions, S, N)
        scores[count] = dict(zip(points[count], mean_by_scene(correct, test_set.scene), strict=True))
    names = {cell.fusion: name for name, cell in matrix.items() if cell.downsample == downsample}
    whole = {fusion: names[fusion] for fusion in fusions if fusion in names}
    if whole:
        count = sum(read_json(RUNS / "prepare" / "metrics.json")["train"].values()) // 2
        points[count] = dict(zip(whole, read_metrics(list(whole.values())).values(), strict=True))
        scores[count] = dict(zip(whole, scene_scores(list(whole.values()), test_set).values(), strict=True))
    reference = matrix[leader].fusion if matrix[leader].fusion in fusions else fusions[0]
    verdicts = {
        (count, fusion): verdict
        for count, each in scores.items()
        if reference in each
        for fusion, verdict in compare_to_reference(each, reference).items()
    }
    chance = read_json(RUNS / "curve" / str(scenes[0]) / "metrics.json")["chance"]
    return Curve(points, verdicts, reference, chance)


def compare_under_faults(matrix: Matrix, leader: str) -> Stress:
    """Compare the cells under every fault; verdicts only among those that differ in the fusion alone."""
    folders = {cell: RUNS / "stress" / cell for cell in matrix}
    metrics = {cell: read_json(folder / "metrics.json") for cell, folder in folders.items()}
    pairs = metrics[leader]["pairs"]
    label = np.tile([0, 1], pairs // 2)  # scene by scene, the cube first
    faults: dict[str, list[int]] = {}
    for place, row in enumerate(metrics[leader]["accuracy"]):
        faults.setdefault(row["fault"], []).append(place)
    accuracy: dict[str, dict[str, list]] = {fault: {} for fault in faults}
    scores = {}
    for cell, folder in folders.items():
        correct = is_correct(read_npy(folder / "logits.npy"), label)  # (conditions, S, N)
        for fault, places in faults.items():
            rows = [metrics[cell]["accuracy"][place] for place in places]
            accuracy[fault][cell] = [(row["severity"], row) for row in rows]
            scores[fault, cell] = mean_by_scene(correct[places].mean(axis=0), np.arange(pairs) // 2)  # (S, scenes)
    by_seed = {
        fault: {cell: [float(seed.mean()) for seed in scores[fault, cell]] for cell in matrix} for fault in faults
    }
    means: dict[str, dict[str, Metrics]] = {
        fault: {cell: aggregate_seeds([{"accuracy": seed} for seed in seeds]) for cell, seeds in cells.items()}
        for fault, cells in by_seed.items()
    }
    verdicts = {
        (fault, cell): verdict
        for fault in faults
        for cell, verdict in compare_to_reference(
            {name: scores[fault, name] for name in base_cells(matrix)}, leader
        ).items()
    }
    return Stress(accuracy, means, by_seed, verdicts, leader, pairs, metrics[leader]["chance"])

"""The cells of the fusion study as their stages left them: figures, logits, and who was right where."""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from pipeline.config.params import Cell
from pipeline.core.files import read_json, read_npy, read_tsv
from pipeline.core.runs import RUNS
from pipeline.data.splits import read_splits

Matrix = Mapping[str, Cell]


class TestSet(NamedTuple):
    """The test pairs, in the order of all logits."""

    row: np.ndarray  # (N,) in the arrays
    label: np.ndarray  # (N,) 0 cube, 1 sphere
    scene: np.ndarray  # (N,)


def load_test_set() -> TestSet:
    """Of the prepared arrays; raises PipelineError if they are absent."""
    folder = RUNS / "prepare" / "arrays"
    row = read_splits(folder / "split.tsv")["test"]
    return TestSet(row, read_npy(folder / "label.npy")[row], read_tsv(folder / "split.tsv")["scene"].to_numpy()[row])


def read_metrics(names: Sequence[str]) -> dict[str, dict[str, Any]]:
    """Cell -> its figures; raises PipelineError if a cell has none."""
    return {name: read_json(RUNS / "fusion" / name / "metrics.json") for name in names}


def read_logits(name: str) -> np.ndarray:
    """(S, N) of the test pairs, a row a seed."""
    return read_npy(RUNS / "fusion" / name / "logits.npy")


def is_correct(logits: np.ndarray, label: np.ndarray) -> np.ndarray:
    """(..., N) logits, (N,) labels -> (..., N) 1.0 where the class named is the true one."""
    return ((logits > 0) == (label > 0)).astype(float)


def mean_by_scene(scores: np.ndarray, scene: np.ndarray) -> np.ndarray:
    """(..., N) scores of pairs -> (..., scenes): a cube and its sphere share place and colour, so they are one case."""
    names, place = np.unique(scene, return_inverse=True)
    total = np.zeros((*scores.shape[:-1], len(names)))
    np.add.at(total, (..., place), scores)
    return total / np.bincount(place)


def scene_scores(names: Sequence[str], known: TestSet) -> dict[str, np.ndarray]:
    """Cell -> (S, scenes) share of pairs named rightly: what paired tests compare."""
    return {name: mean_by_scene(is_correct(read_logits(name), known.label), known.scene) for name in names}


def base_downsample(matrix: Matrix) -> str:
    """The downsampling of the first cell: on it the fusions are compared, and the others are compared with it."""
    return next(iter(matrix.values())).downsample


def base_cells(matrix: Matrix) -> list[str]:
    """The cells that differ in the fusion alone."""
    return [name for name, cell in matrix.items() if cell.downsample == base_downsample(matrix)]


def ablation_groups(matrix: Matrix) -> dict[str, list[str]]:
    """Fusion -> its cells, that of `base` first, where there is more than one."""
    groups: dict[str, list[str]] = {}
    for name in sorted(matrix, key=lambda name: matrix[name].downsample != base_downsample(matrix)):
        groups.setdefault(matrix[name].fusion, []).append(name)
    return {fusion: names for fusion, names in groups.items() if len(names) > 1 and names[0] in base_cells(matrix)}


def best_cell(cells: Mapping[str, Mapping[str, Any]]) -> str:
    """The cell of the lowest validation loss: the test split had no part in the choice."""
    return min(cells, key=lambda name: cells[name]["val_loss"])


def metrics_frame(cells: Mapping[str, Mapping[str, Any]]) -> pd.DataFrame:
    """One row a cell, every figure a column, for CSV."""
    rows = {name: dict(metrics) for name, metrics in cells.items()}
    return pd.DataFrame.from_dict(rows, orient="index").rename_axis("cell")

"""The cells of the fusion study as their stages left them: metrics, logits and correctness by test scene."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import pandas as pd

from pipeline.config.params import Cell
from pipeline.core.files import read_json, read_npy, read_tsv
from pipeline.core.runs import RUNS, times_folder
from pipeline.data.splits import read_splits
from pipeline.report.text import Metrics

Matrix = Mapping[str, Cell]
ARRAYS = RUNS / "prepare" / "arrays"


@dataclass(frozen=True)
class TestSet:
    """The N test pairs, in the order of all logits."""

    __test__: ClassVar[bool] = False  # pytest would collect a class of this name

    row: np.ndarray  # (N,) in the prepared arrays
    label: np.ndarray  # (N,) 0 cube, 1 sphere
    scene: np.ndarray  # (N,)


def load_test_set() -> TestSet:
    """Load the test pairs of the prepared arrays; raises PipelineError if the arrays are absent."""
    row = read_splits(ARRAYS / "split.tsv")["test"]
    return TestSet(row, read_npy(ARRAYS / "label.npy")[row], read_tsv(ARRAYS / "split.tsv")["scene"].to_numpy()[row])


def read_metrics(names: Sequence[str]) -> dict[str, dict[str, Any]]:
    """Read the metrics of every cell in `names`; raises PipelineError if a cell has none."""
    return {name: read_json(RUNS / "fusion" / name / "metrics.json") for name in names}


def read_costs(names: Sequence[str]) -> dict[str, dict[str, Any]]:
    """Read the metrics of every cell in `names` with the seconds and the memory of its training.

    No stage depends on the times: those in a table are of the training that was last when the table was made.
    """
    times = {name: read_json(times_folder(RUNS / "fusion" / name) / "times.json") for name in names}
    return {name: metrics | times[name] for name, metrics in read_metrics(names).items()}


def read_logits(name: str) -> np.ndarray:
    """Read the (S, N) logits of a cell on the test pairs, a row a seed."""
    return read_npy(RUNS / "fusion" / name / "logits.npy")


def is_correct(logits: np.ndarray, label: np.ndarray) -> np.ndarray:
    """Return (..., N) 1.0 where the sign of (..., N) logits gives the class in the (N,) labels, else 0.0."""
    return ((logits > 0) == (label > 0)).astype(float)


def seed_accuracies(name: str, test_set: TestSet) -> list[float]:
    """Return the test accuracy of every seed of a cell."""
    return is_correct(read_logits(name), test_set.label).mean(axis=1).tolist()


def mean_by_scene(scores: np.ndarray, scene: np.ndarray) -> np.ndarray:
    """Average (..., N) scores of pairs over each scene: (..., scenes).

    The cube and the sphere of a scene share place and colour, so the scene is the independent case.
    """
    names, place = np.unique(scene, return_inverse=True)
    total = np.zeros((*scores.shape[:-1], len(names)))
    np.add.at(total, (..., place), scores)  # type: ignore[arg-type]  # NumPy's stubs lack tuples of indices
    return total / np.bincount(place)


def scene_scores(names: Sequence[str], test_set: TestSet) -> dict[str, np.ndarray]:
    """Compute the (S, scenes) share of correct pairs of every cell: what the paired tests compare."""
    return {name: mean_by_scene(is_correct(read_logits(name), test_set.label), test_set.scene) for name in names}


def fusion_name(cell: str) -> str:
    """Return the fusion of a cell's name, which is `fusion-downsample`."""
    return cell.split("-")[0]


def downsample_name(cell: str) -> str:
    """Return the downsampling of a cell's name, which is `fusion-downsample`."""
    return cell.split("-")[1]


def base_downsample(matrix: Matrix) -> str:
    """Return the downsampling of the first cell: fusions are compared on it, other downsamplings with it."""
    return next(iter(matrix.values())).downsample


def base_cells(matrix: Matrix) -> list[str]:
    """Return the cells with the base downsampling, which differ in the fusion alone."""
    return [name for name, cell in matrix.items() if cell.downsample == base_downsample(matrix)]


def ablation_groups(matrix: Matrix) -> dict[str, list[str]]:
    """Return the cells of each fusion that has the base downsampling, which comes first, and another one."""
    base = base_downsample(matrix)
    groups: dict[str, list[str]] = {}
    for name in sorted(matrix, key=lambda name: matrix[name].downsample != base):
        groups.setdefault(matrix[name].fusion, []).append(name)
    return {fusion: names for fusion, names in groups.items() if len(names) > 1 and matrix[names[0]].downsample == base}


def best_cell(cells: Mapping[str, Metrics]) -> str:
    """Return the cell of the lowest validation loss, the leader: the test split has no part in the choice."""
    return min(cells, key=lambda name: cells[name]["val_loss"])


def metrics_frame(cells: Mapping[str, Metrics]) -> pd.DataFrame:
    """Return one row a cell with every metric as a column, for CSV."""
    rows = {name: dict(metrics) for name, metrics in cells.items()}
    return pd.DataFrame.from_dict(rows, orient="index").rename_axis("cell")

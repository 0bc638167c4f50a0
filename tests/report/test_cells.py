"""Cells grouped by what differs, and their correct answers by scene."""

import numpy as np
import pytest

from pipeline.config.params import Cell
from pipeline.report.cells import (
    ablation_groups,
    base_cells,
    base_downsample,
    best_cell,
    downsample_name,
    fusion_name,
    is_correct,
    mean_by_scene,
    metrics_frame,
)


def matrix(*names: str) -> dict[str, Cell]:
    return {name: Cell(*name.split("-"), epochs=1) for name in names}


MATRIX = matrix("late-strided", "concat-maxpool", "late-maxpool", "add-maxpool", "concat-strided")


def test_the_first_cell_sets_the_base_downsampling():
    assert base_downsample(MATRIX) == "strided"
    assert base_cells(MATRIX) == ["late-strided", "concat-strided"]


def test_a_name_is_the_fusion_and_the_downsampling():
    assert fusion_name("late_frozen-strided_extra") == "late_frozen"
    assert downsample_name("late_frozen-strided_extra") == "strided_extra"


def test_ablation_groups_are_the_fusions_with_the_base_and_another():
    assert ablation_groups(MATRIX) == {
        "late": ["late-strided", "late-maxpool"],
        "concat": ["concat-strided", "concat-maxpool"],
    }
    assert ablation_groups(matrix("late-maxpool", "add-strided", "add-strided_extra")) == {}  # add has no maxpool


def test_correct_is_the_sign_of_the_logit():
    logits = np.array([[2.0, -1.0, 0.0], [-2.0, 1.0, 3.0]])
    assert is_correct(logits, np.array([1, 0, 1])).tolist() == [[1, 1, 0], [0, 0, 1]]  # 0 is cube


def test_mean_by_scene_is_the_mean_of_its_pairs_wherever_they_lie():
    scores = np.array([[1.0, 0.0, 1.0, 1.0], [0.0, 0.0, 1.0, 0.0]])
    assert mean_by_scene(scores, np.array([7, 3, 3, 7])).tolist() == [[0.5, 1.0], [0.5, 0.0]]  # scene 3, scene 7
    assert mean_by_scene(scores[None], np.array([7, 3, 3, 7])).shape == (1, 2, 2)


def test_the_leader_is_chosen_by_validation_not_by_test():
    cells = {"a": {"val_loss": 0.2, "accuracy": 1.0}, "b": {"val_loss": 0.1, "accuracy": 0.5}}
    assert best_cell(cells) == "b"


def test_numbers_are_the_metrics():
    table = metrics_frame({"a": {"accuracy": 0.9}, "b": {"accuracy": 0.975}})
    assert table.loc["b", "accuracy"] == pytest.approx(0.975) and list(table.index) == ["a", "b"]

"""Figures that the checkpoints do not give are refused by run, key and both values."""

import json

import pytest
import torch

from pipeline.core.errors import PipelineError
from pipeline.evaluation import reproduce
from pipeline.evaluation.reproduce import assert_precision, assert_reproduced


@pytest.fixture
def run(tmp_path, monkeypatch) -> str:
    monkeypatch.setattr(reproduce, "RUNS", tmp_path)
    (tmp_path / "lidar").mkdir()
    recorded = {"accuracy": 0.75, "accuracy_ci95": 0.1, "loss": 4.0, "precision": "float32"}
    (tmp_path / "lidar" / "metrics.json").write_text(json.dumps(recorded))
    return "lidar"


def test_equal_figures_pass_and_intervals_follow_from_the_means(run):
    assert_reproduced(run, {"accuracy": 0.75, "accuracy_ci95": 0.9, "loss": 4.0}, 0.0)


def test_the_tolerance_is_relative_above_one(run):
    assert_reproduced(run, {"loss": 4.03}, 0.01)
    with pytest.raises(PipelineError, match=r"lidar: loss is 4\.0 in metrics\.json, its checkpoints give 4\.05"):
        assert_reproduced(run, {"loss": 4.05}, 0.01)
    with pytest.raises(PipelineError, match="accuracy is 0.75"):
        assert_reproduced(run, {"accuracy": 0.77}, 0.01)


def test_a_figure_that_was_never_recorded_is_refused(run):
    with pytest.raises(PipelineError, match="f1 is None in metrics.json"):
        assert_reproduced(run, {"f1": 0.5}, 0.01)


def test_a_run_of_another_precision_is_refused_by_file_and_both_names(run, monkeypatch):
    monkeypatch.setattr("pipeline.core.device.precision", lambda device: torch.float32)
    assert_precision([run], torch.device("cpu"))
    monkeypatch.setattr("pipeline.core.device.precision", lambda device: torch.bfloat16)
    with pytest.raises(PipelineError, match=r"lidar/metrics\.json: precision is float32, expected bfloat16.* params"):
        assert_precision([run], torch.device("cpu"))


def test_a_run_that_records_no_precision_is_refused(run, tmp_path):
    (tmp_path / "lidar" / "metrics.json").write_text("{}")
    with pytest.raises(PipelineError, match="precision is not recorded, expected"):
        assert_precision([run], torch.device("cpu"))

"""The table at the end of a run, from the figures that the stages left."""

import json

import pytest

from pipeline.core.errors import PipelineError
from pipeline.tools.experiments.summary_table import summary_table

CELLS = {  # accuracy, validation loss
    "rgb-maxpool": (0.7, 0.5),
    "late-maxpool": (0.8, 0.2),
    "add-maxpool": (0.95, 0.3),  # better on the test split, which chooses nothing
    "late-strided": (0.6, 0.4),
}
TRAINED = {
    "lidar": {"accuracy": 0.97, "accuracy_ci95": 0.01},
    "cilp": {"top1": 0.7, "top5": 0.9, "chance_top1": 0.0025, "chance_top5": 0.0125},
    "project": {"r2": 0.6},
    "classify/projector": {"zero_shot_accuracy": 0.81, "accuracy": 0.9},
    "classify/everything": {"accuracy": 0.96},
}


@pytest.fixture
def run(tmp_path, monkeypatch):
    files = {
        f"fusion/{name}": {"accuracy": accuracy, "val_loss": loss, "chance": 0.5}
        for name, (accuracy, loss) in CELLS.items()
    }
    files["evaluate"] = {"trained": TRAINED | dict.fromkeys(files, {}), "accuracies": {"lidar": [0.9, 0.8]}}
    for name, told in files.items():
        (tmp_path / "runs" / name).mkdir(parents=True)
        (tmp_path / "runs" / name / "metrics.json").write_text(json.dumps(told))
    (tmp_path / "runs" / "report").mkdir()
    (tmp_path / "runs" / "report" / "summary.json").write_text(json.dumps({"chance": 0.5}))
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_leaders_stand_beside_single_sensors_and_chance(run):
    rows = [
        [word.strip() for word in line.strip("|").split("|")] for line in summary_table().splitlines() if "|" in line
    ]
    told = {name: (test, chance) for name, test, chance in rows[2:]}
    assert list(told)[:3] == [
        "rgb-maxpool (one sensor)",
        "late-maxpool (best of 3 with maxpool)",
        "late-strided (best of 1 with strided)",
    ]
    assert told["late-maxpool (best of 3 with maxpool)"] == ("0.8000", "0.5000")
    assert told["LiDAR classifier"] == ("0.9700 ± 0.0100", "0.5000")
    assert told["CILP, RGB to LiDAR, top-5"] == ("0.9000", "0.0125")
    assert told["RGB in LiDAR space, zero-shot"] == ("0.8100", "0.5000")
    assert "the mean of 2 seeds" in summary_table() and summary_table().endswith("The report: runs/report/report.html")


def test_an_unfinished_run_is_said_to_be_one(run):
    (run / "runs" / "report" / "summary.json").unlink()
    with pytest.raises(PipelineError, match="runs/report/summary.json: not found; run `dvc repro`"):
        summary_table()


def test_one_seed_is_said_to_be_one(run):
    path = run / "runs" / "evaluate" / "metrics.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"accuracies": {"lidar": [0.9]}}))
    assert "Test split, of one seed." in summary_table()

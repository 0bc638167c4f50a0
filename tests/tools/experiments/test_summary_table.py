"""The table at the end of a run, from the figures that the stages left."""

import json

import pytest

from pipeline.core.errors import PipelineError
from pipeline.report.transfer.nets import FULL, PROJECTOR_ONLY
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
    f"classify/{PROJECTOR_ONLY}": {"zero_shot_accuracy": 0.81, "accuracy": 0.9},
    f"classify/{FULL}": {"accuracy": 0.96},
}


@pytest.fixture
def run(tmp_path, monkeypatch):
    files = {
        f"fusion/{name}": {"accuracy": accuracy, "val_loss": loss, "chance": 0.5}
        for name, (accuracy, loss) in CELLS.items()
    }
    files["evaluate"] = {"trained": TRAINED, "accuracies": {"lidar": [0.9, 0.8]}}
    for name, metrics in files.items():
        (tmp_path / "runs" / name).mkdir(parents=True)
        (tmp_path / "runs" / name / "metrics.json").write_text(json.dumps(metrics))
    (tmp_path / "runs" / "fusion" / "add-strided").mkdir()  # a cell of an earlier matrix
    (tmp_path / "runs" / "fusion" / "add-strided" / "metrics.json").write_text("{}")
    (tmp_path / "runs" / "report").mkdir()
    (tmp_path / "runs" / "report" / "report.html").touch()
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_the_best_cells_stand_beside_single_sensors_and_chance(run):
    rows = [
        [word.strip() for word in line.strip("|").split("|")]
        for line in summary_table(list(CELLS), 2).splitlines()
        if "|" in line
    ]
    table = {name: (test, chance) for name, test, chance in rows[2:]}
    assert list(table)[:3] == [
        "rgb-maxpool (one sensor)",
        "late-maxpool (best of 3 with maxpool)",
        "late-strided (best of 1 with strided)",
    ]
    assert table["late-maxpool (best of 3 with maxpool)"] == ("0.8000", "0.5000")
    assert table["LiDAR classifier"] == ("0.9700 ± 0.0100", "0.5000")
    assert table["CILP, RGB to LiDAR, top-5"] == ("0.9000", "0.0125")
    assert table["RGB in LiDAR space, zero-shot"] == ("0.8100", "0.5000")
    assert table["RGB in LiDAR space, fully tuned"] == ("0.9600", "0.5000")
    assert "the mean of 5 (cells) or 2 seeds" in summary_table(list(CELLS), 5)
    assert "the mean of 2 seeds" in summary_table(list(CELLS), 2) and summary_table(list(CELLS), 2).endswith(
        "The report: runs/report/report.html"
    )


def test_an_unfinished_run_is_reported_as_one(run):
    (run / "runs" / "report" / "report.html").unlink()
    with pytest.raises(PipelineError, match="runs/report/report.html: not found; run `dvc repro`"):
        summary_table(list(CELLS), 2)


def test_one_seed_is_reported_as_one(run):
    evaluation = {"trained": TRAINED, "accuracies": {"lidar": [0.9]}}
    (run / "runs" / "evaluate" / "metrics.json").write_text(json.dumps(evaluation))
    assert "Test split, of one seed." in summary_table(list(CELLS), 1)

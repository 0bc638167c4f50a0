"""Comparisons from files of known content: leaders, verdicts and families; and their tables."""

import numpy as np
import pytest

from pipeline.config.params import Cell
from pipeline.core.files import read_json, write_json, write_npy
from pipeline.report.cells import TestSet
from pipeline.report.fusion.comparisons import (
    Stress,
    compare_downsampling,
    compare_fusions,
    compare_under_faults,
    learning_curve,
)
from pipeline.report.fusion.tables import (
    ablation_table,
    choice_table,
    comparison_table,
    constant_answers,
    curve_table,
    stress_table,
    verdict_text,
)
from pipeline.report.significance import Difference, Verdict

N = 80  # test pairs, two a scene
TEST_SET = TestSet(np.arange(N), np.tile([0, 1], N // 2), np.arange(N) // 2)
MATRIX = {name: Cell(*name.split("-"), epochs=1) for name in ("rgb-maxpool", "late-maxpool", "late-strided")}
SHARE = {"rgb-maxpool": 0.6, "late-maxpool": 1.0, "late-strided": 1.0}
CELL = {
    name: value
    for key in ("val_loss", "loss", "accuracy", "f1", "ece")
    for name, value in ((key, 0.5), (f"{key}_ci95", 0.01))
} | {"chance": 0.5, "parameters": 1000, "epochs": 4}
TIMES = {"seconds_per_epoch": 2.0, "peak_memory_mb": 700.5}


def logits(share: float, seed: int) -> np.ndarray:
    """Draw logits (3, N): right in about `share` of the pairs, another draw a seed."""
    right = np.random.default_rng(seed).random((3, N)) < share
    return np.where(right == (TEST_SET.label == 1), 1.0, -1.0).astype(np.float32)


@pytest.fixture
def runs(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    folder = tmp_path / "runs"
    for place, (name, share) in enumerate(SHARE.items()):
        metrics = CELL | {"val_loss": 1 - share, "accuracy": share, "confusion": [[60, 60], [0, 120]]}
        write_json(folder / "fusion" / name / "metrics.json", metrics)
        write_json(folder / "times" / "fusion" / name / "times.json", TIMES)
        write_npy(folder / "fusion" / name / "logits.npy", logits(share, place))
    write_json(folder / "prepare" / "metrics.json", {"train": {"cubes": 700, "spheres": 700}})
    few = {"rgb": {"accuracy": 0.9, "accuracy_ci95": 0.1}, "late": {"accuracy": 0.55, "accuracy_ci95": 0.1}}
    write_json(folder / "curve" / "25" / "metrics.json", {"chance": 0.5, "fusions": few})
    write_npy(folder / "curve" / "25" / "logits.npy", np.stack([logits(0.9, 7), logits(0.55, 8)]))
    conditions = [["clean", None], ["rgb_dark", 0.5], ["rgb_dark", 0.1], ["lidar_missing", None]]
    answers = np.stack(
        [[logits(share, 10 * place + row) for row in range(4)] for place, share in enumerate((0.9, 1, 1))]
    )
    answers[0, 1:3] = logits(0.5, 99)  # in the dark RGB alone is lost
    for name, answer in zip(MATRIX, answers, strict=True):
        rows = [
            {"fault": fault, "severity": severity, "accuracy": 0.5, "accuracy_ci95": 0.1}
            for fault, severity in conditions
        ]
        write_npy(folder / "stress" / name / "logits.npy", answer.astype(np.float32))
        write_json(folder / "stress" / name / "metrics.json", {"pairs": N, "chance": 0.5, "accuracy": rows})
    return folder


def test_comparison_names_the_leader_and_what_is_worse(runs):
    study = compare_fusions(MATRIX, TEST_SET)
    assert list(study.cells) == ["rgb-maxpool", "late-maxpool"] and study.leader == "late-maxpool"
    verdict = study.verdicts["rgb-maxpool"]
    assert verdict.outcome == "worse" and verdict.difference.mean == pytest.approx(-0.4, abs=0.06)
    table = comparison_table(study)
    assert "| leader " in table and "| worse (-0." in table
    constant = [line for line in table.splitlines() if "majority" in line or "coin" in line]
    assert all(" 0.6931 " in line and " 0.5000 " in line for line in constant) and " 0.3333 " in constant[0]
    narrow = comparison_table(study, ["accuracy", "epochs"]).splitlines()[0]
    titles = [title.strip() for title in narrow.strip("|").split("|")]
    assert titles == ["cell", "test accuracy", "beside the leader", "epochs"]


def test_ablation_stands_beside_the_base_of_the_same_fusion(runs):
    study = compare_downsampling(MATRIX, TEST_SET)
    assert study.groups == {"late": ["late-maxpool", "late-strided"]}
    assert study.verdicts["late-strided"].outcome == "not distinguishable"
    base, strided = ablation_table(study).splitlines()[2:]
    assert "(x" not in base and "2.00 (x1.00)" in strided and "not distinguishable (+0.0000 ± 0.0000, p 1)" in strided


def test_seconds_of_a_shared_gpu_are_not_in_the_tables(runs):
    write_json(runs / "times/fusion/late-maxpool/times.json", TIMES | {"seconds_per_epoch": None})
    *_, leader, _, _ = comparison_table(compare_fusions(MATRIX, TEST_SET)).splitlines()
    assert "| leader " in leader and "| not measured: shared GPU |" in leader and " 700.50 " in leader
    base, strided = ablation_table(compare_downsampling(MATRIX, TEST_SET)).splitlines()[2:]
    assert "not measured: shared GPU" in base and " 2.00 " in strided and "700.50 (x1.00)" in strided


def test_curve_ends_with_the_cells_trained_on_all_scenes(runs):
    study = learning_curve(["rgb", "late"], [25], "maxpool", MATRIX, TEST_SET, "late-maxpool")
    assert list(study.points) == [25, 700] and study.reference == "late"
    assert study.verdicts[25, "rgb"].outcome == "better" and study.verdicts[700, "rgb"].outcome == "worse"
    lines = curve_table(study).splitlines()
    assert "0.900 ± 0.100*" in lines[2] and "late (reference)" in lines[3] and "*" not in lines[3]


def test_a_curve_on_another_downsampling_has_no_last_point_for_fusions_without_a_cell(runs):
    study = learning_curve(["rgb", "late"], [25], "strided", MATRIX, TEST_SET, "late-maxpool")
    assert list(study.points[700]) == ["late"] and (700, "rgb") not in study.verdicts


def test_stress_takes_the_mean_over_severities(runs):
    study = compare_under_faults(MATRIX, "late-maxpool")
    assert list(study.means) == ["clean", "rgb_dark", "lidar_missing"]
    assert study.means["rgb_dark"]["rgb-maxpool"]["accuracy"] == pytest.approx(0.5, abs=0.1)
    assert study.means["rgb_dark"]["late-maxpool"]["accuracy"] == 1.0
    assert study.verdicts["rgb_dark", "rgb-maxpool"].outcome == "worse"
    assert {cell for _, cell in study.verdicts} == {"rgb-maxpool"}  # not the other downsampling
    assert [severity for severity, _ in study.accuracy["rgb_dark"]["late-strided"]] == [0.5, 0.1]
    line = next(line for line in stress_table(study, list(MATRIX)).splitlines() if "rgb-maxpool" in line)
    assert line.count("*") >= 1


def test_the_choice_of_a_sensor_is_counted_by_seed():
    seeds = {"rgb": [1.0, 0.9, 0.5], "late": [0.89, 0.5, 0.5]}
    by_seed = {fault: seeds for fault in ("rgb_missing", "lidar_missing", "other_shape")}
    means = {"rgb": {"accuracy": 0.8, "accuracy_ci95": 0.25}, "late": {"accuracy": 0.63, "accuracy_ci95": 0.5}}
    study = Stress({}, dict.fromkeys(by_seed, means), by_seed, {}, "late", 8, 0.5)
    assert choice_table(study, ["rgb", "late"]).splitlines()[2:] == [
        "| rgb    | 0.80 ± 0.25 (2 of 3) | 0.80 ± 0.25 (2 of 3) | 0.80 ± 0.25 (2 of 3) |",
        "| late   | 0.63 ± 0.50 (0 of 3) | 0.63 ± 0.50 (0 of 3) | 0.63 ± 0.50 (0 of 3) |",
    ]


def test_constant_answers_on_uneven_classes():
    titles = ["cell", "test loss", "test accuracy", "test F1", "test ECE", "epochs"]
    rows = constant_answers({"confusion": [[30, 0], [10, 0]]}, titles)
    assert [list(row) for row in rows] == [titles, titles] and rows[0]["epochs"] == ""
    majority, coin = ({title: value for title, value in row.items() if title.startswith("test")} for row in rows)
    # entropy of 3/4; F1 of the larger class 2 * 0.75 / 1.75, of the other 0
    assert majority == {"test loss": "0.5623", "test accuracy": "0.7500", "test F1": "0.4286", "test ECE": "0.0000"}
    assert coin["test accuracy"] == "0.5000" and coin["test F1"] == f"{(1.5 / 2.5 + 0.5 / 1.5) / 2:.4f}"


def test_a_verdict_of_one_seed_has_no_interval():
    verdict = Verdict(Difference(0.1, None, None), None, "not distinguishable")
    assert verdict_text(verdict) == "not distinguishable (+0.1000, one seed)"


def record(path, precision: str) -> None:
    write_json(path, read_json(path) | {"precision": precision})


def test_every_table_names_the_cells_of_unlike_precision(runs):
    def tables() -> list[str]:
        curve = learning_curve(["rgb", "late"], [25], "maxpool", MATRIX, TEST_SET, "late-maxpool")
        studies = compare_fusions(MATRIX, TEST_SET), compare_downsampling(MATRIX, TEST_SET)
        return [comparison_table(studies[0]), ablation_table(studies[1]), curve_table(curve)]

    for path in ("fusion/rgb-maxpool", "fusion/late-maxpool", "fusion/late-strided", "curve/25"):
        record(runs / path / "metrics.json", "float32")
    assert not any("precision" in table for table in tables())
    record(runs / "fusion" / "late-maxpool" / "metrics.json", "bfloat16")
    fusions, downsamplings, curve = tables()
    assert "\n\nUnlike precision. bfloat16: `late-maxpool`; float32: `rgb-maxpool`." in fusions
    assert "\n\nUnlike precision. bfloat16: `late-maxpool`; float32: `late-strided`." in downsamplings
    assert "bfloat16: `late, 700 scenes`; float32: `rgb, 25 scenes`, `late, 25 scenes` and `rgb, 700 scenes`." in curve

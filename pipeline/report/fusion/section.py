"""The report's sections on the fusion study: its figures, tables and findings."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from pipeline.config.params import Cell, Curve
from pipeline.core.files import read_npy, read_tsv
from pipeline.core.runs import RUNS
from pipeline.core.sensors import CLASS_NAMES
from pipeline.report.cells import ARRAYS, Matrix, TestSet, base_downsample, read_logits, read_metrics
from pipeline.report.findings import Finding
from pipeline.report.fusion.comparisons import (
    Comparison,
    compare_downsampling,
    compare_fusions,
    compare_under_faults,
    learning_curve,
)
from pipeline.report.fusion.figures import (
    plot_confusion,
    plot_costs,
    plot_histories,
    plot_learning_curve,
    plot_samples,
    plot_stress,
)
from pipeline.report.fusion.findings import best_fusion, downsampling, second_sensor, sensor_failure, separated
from pipeline.report.fusion.samples import least_confident_correct, most_confident_errors, sample_titles
from pipeline.report.fusion.tables import (
    REPORTED,
    REPORTED_ABLATION,
    ablation_table,
    choice_table,
    comparison_table,
    curve_table,
    stress_table,
)

MAX_ERRORS = 8  # in the picture of predictions; correct predictions fill its two rows


def fusion_section(matrix: Mapping[str, Cell], curve: Curve, test_set: TestSet, pictures: Path) -> dict[str, Any]:
    """Draw the figures of the study into `pictures` and return its tables, the values of its text and its findings."""
    comparison, ablation = compare_fusions(matrix, test_set), compare_downsampling(matrix, test_set)
    few = learning_curve(curve.fusions, curve.scenes, curve.downsample, matrix, test_set, comparison.leader)
    faults = compare_under_faults(matrix, comparison.leader)
    cells = list(comparison.cells)
    _plot_training(matrix, pictures)
    plot_costs(comparison, pictures / "costs.png")
    plot_learning_curve(few, pictures / "curve.png")
    plot_stress(faults, cells, pictures / "stress.png")
    _plot_predictions(comparison, test_set, pictures)
    findings: Sequence[Finding | None] = (
        best_fusion(comparison),
        second_sensor(comparison),
        downsampling(ablation),
        sensor_failure(faults, comparison),
    )
    return {
        "findings": findings,
        "leader": comparison.leader,
        "base": base_downsample(matrix),
        "table": comparison_table(comparison, REPORTED),
        "ablation_table": ablation_table(ablation, REPORTED_ABLATION),
        "curve_table": curve_table(few),
        "curve_points": {
            scenes: separated({key: verdict for key, verdict in few.verdicts.items() if key[0] == scenes})
            for scenes in few.points
        },
        "curve_reference": few.reference,
        "stress_table": stress_table(faults, cells),
        "choice_table": choice_table(faults, cells),
        "stress_pairs": faults.pairs,
        "stress_separated": separated(faults.verdicts),
    }


def _plot_training(matrix: Matrix, pictures: Path) -> None:
    """Draw the histories of all cells, a panel a downsampling, and their confusion matrices."""
    panels: dict[str, dict] = {}
    for name, cell in matrix.items():
        panels.setdefault(cell.downsample, {})[cell.fusion] = read_tsv(RUNS / "fusion" / name / "history.tsv")
    plot_histories(panels, "val_accuracy", "validation accuracy", pictures / "fusion.png")
    plot_confusion(read_metrics(list(matrix)), CLASS_NAMES, pictures / "confusion.png")


def _plot_predictions(comparison: Comparison, test_set: TestSet, pictures: Path) -> None:
    """Draw the most confident errors of the first seed, then what the leader gets right with the least confidence."""
    logits = {name: read_logits(name)[0] for name in comparison.cells}
    samples = most_confident_errors(logits, test_set.label, MAX_ERRORS)
    leader, rest = comparison.leader, 2 * MAX_ERRORS - len(samples)
    samples += least_confident_correct(leader, logits[leader], test_set.label, rest)
    rows = test_set.row[[sample.pair for sample in samples]]
    rgb, depth = (read_npy(ARRAYS / f"{name}.npy", mmap_mode="r")[rows] for name in ("rgb", "depth"))
    correct = [test_set.label[sample.pair] == sample.predicted for sample in samples]
    titles = sample_titles(samples, test_set.label, CLASS_NAMES)
    plot_samples(rgb, depth, titles, correct, pictures / "predictions.png")

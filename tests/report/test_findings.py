"""Findings of literal studies: which outcome the numbers bear, and which values fill its sentence."""

import pytest

from pipeline.evaluation import assessment
from pipeline.report.findings import Finding, answers, are_apart, is_above
from pipeline.report.fusion.comparisons import Ablation, Comparison
from pipeline.report.fusion.findings import best_fusion, downsampling, second_sensor, sensor_failure
from pipeline.report.transfer.findings import MARKS, SCHEME, course_mark, few_labels, rgb_alone
from pipeline.transfer.scores import COURSE_BATCH_SIZE
from support.literal_studies import LEVEL, ablation, cell, comparison, evaluated, labels, stress, verdict


def compare(outcomes: dict[str, str], accuracy: float = 0.95, half: float = 0.01) -> Comparison:
    """Return a comparison that `late-maxpool` leads; the others have the given outcomes."""
    cells = {"late-maxpool": cell(accuracy, half, val_loss=0.1)} | {name: cell(0.9) for name in outcomes}
    return Comparison(cells, "late-maxpool", {name: verdict(-0.01, word, 0.02) for name, word in outcomes.items()})


# --- which fusion


@pytest.mark.parametrize(
    ("outcomes", "expected"),
    [
        ({}, "alone"),
        ({"add-maxpool": LEVEL}, "level"),
        ({"add-maxpool": "worse"}, "best"),
        ({"add-maxpool": "worse", "early-maxpool": LEVEL}, "partly"),
        ({"add-maxpool": "better", "early-maxpool": "worse"}, "better"),
    ],
)
def test_the_outcome_follows_the_verdicts(outcomes, expected):
    assert best_fusion(compare(outcomes)).outcome == expected


def test_a_leader_at_chance_has_no_order_below_it():
    assert best_fusion(compare({"add-maxpool": "worse"}, 0.52, 0.02)).outcome == "chance"
    assert best_fusion(compare({"add-maxpool": "worse"}, 0.53, 0.02)).outcome == "best"


def test_one_seed_allows_no_verdict():
    finding = best_fusion(comparison(LEVEL, p=None, half=None))
    assert finding.outcome == "untested" and finding.values["p"] is None


def test_the_cheapest_is_sought_among_cells_that_lose_at_most_a_hundredth():
    good = best_fusion(comparison(LEVEL, gap=-0.001, width=0.008)).values
    assert good["smallest"] == {"cell": "rgb-maxpool", "cost": 700, "ratio": 0.35}
    assert good["quickest"] == {"cell": "rgb-maxpool", "cost": 0.9, "ratio": 0.45}
    for study in (comparison("worse"), comparison(LEVEL, gap=0.0, width=0.011)):  # the second may lose more
        assert best_fusion(study).values["smallest"] == {"cell": "late-maxpool", "cost": 2000, "ratio": 1.0}


# --- a second sensor


@pytest.mark.parametrize(
    ("outcome", "leading_fusion", "leading_sensor"),
    [("worse", "helps", "hurts"), ("better", "hurts", "helps"), (LEVEL, "level", "level")],
)
def test_a_second_sensor_helps_only_if_a_test_finds_it(outcome, leading_fusion, leading_sensor):
    finding = second_sensor(comparison(outcome))
    assert finding.outcome == leading_fusion and finding.values["gap"] == pytest.approx(0.04)
    cells = {"lidar-maxpool": cell(0.95, val_loss=0.1), "late-maxpool": cell(0.91)}
    finding = second_sensor(Comparison(cells, "lidar-maxpool", {"late-maxpool": verdict(-0.04, outcome, 0.01)}))
    assert finding.outcome == leading_sensor and finding.values["gap"] == pytest.approx(-0.04)
    assert finding.values["sensor"] == "LiDAR" and finding.values["fusion"] == "late-maxpool"


def test_the_best_single_sensor_is_chosen_by_validation_loss():
    cells = {
        "rgb-maxpool": cell(0.99, val_loss=0.4),
        "lidar-maxpool": cell(0.9, val_loss=0.2),
        "add-maxpool": cell(0.95, val_loss=0.1),
    }
    verdicts = {"rgb-maxpool": verdict(0.04, "better", 0.01), "lidar-maxpool": verdict(-0.05, "worse", 0.01)}
    finding = second_sensor(Comparison(cells, "add-maxpool", verdicts))
    assert finding.values["single"] == "lidar-maxpool" and finding.outcome == "helps"


def test_without_a_fusion_or_a_single_sensor_there_is_no_finding():
    assert second_sensor(Comparison({"late-maxpool": cell(0.9)}, "late-maxpool", {})) is None
    cells = {"rgb-maxpool": cell(0.9), "lidar-maxpool": cell(0.9)}
    assert second_sensor(Comparison(cells, "rgb-maxpool", {"lidar-maxpool": verdict(0, LEVEL, 1.0)})) is None


# --- downsampling


def test_each_downsampling_has_its_costs():
    finding = downsampling(ablation())
    strided, extra = finding.values["variants"]
    assert finding.outcome == "tested" and finding.values["base"] == "maxpool"
    assert strided["worse"] == ["late-strided"] and strided["gaps"] == [-0.02] and strided["p"] == 0.0031
    assert strided["epoch"] == pytest.approx([0.4]) and strided["training"] == pytest.approx([0.6])
    assert strided["quicker"] and not extra["quicker"]
    assert strided["epochs"] == [1.5] and strided["open"] == ["late-strided"]
    assert strided["largest_loss"] == pytest.approx(0.035)
    assert extra["worse"] == extra["better"] == [] and extra["parameters"] == [1.25]


def test_a_downsampling_is_as_good_where_its_interval_excludes_a_loss_over_a_hundredth():
    for gap, width, as_good in ((-0.004, 0.005, ["late-strided"]), (0.0, 0.011, []), (-0.0075, 0.0323, [])):
        strided = downsampling(ablation(LEVEL, gap=gap, width=width)).values["variants"][0]
        assert strided["as_good"] == as_good and strided["largest_loss"] == pytest.approx(width - gap)
    untested = downsampling(ablation(LEVEL, p=None, half=None, gap=0.02)).values["variants"][0]
    assert untested["as_good"] == [] and untested["open"] == ["late-strided"]


def test_without_an_ablation_there_is_no_finding():
    assert downsampling(Ablation({}, {}, {})) is None
    assert downsampling(ablation(LEVEL, p=None, half=None)).outcome == "untested"
    study = ablation()
    for metrics in study.cells.values():
        metrics["accuracy"] = 0.505
    assert downsampling(study).outcome == "chance"


# --- a failing sensor


@pytest.mark.parametrize(
    ("rgb", "lidar", "outcome"), [(0.9, 0.52, "partly"), (0.9, 0.6, "survives"), (0.54, 0.5, "fails")]
)
def test_above_chance_is_where_the_interval_lies_above(rgb, lidar, outcome):
    finding = sensor_failure(stress(rgb, lidar), comparison())
    assert finding.outcome == outcome and finding.values["fusion"] == "late-maxpool"
    assert [failure["sensor"] for failure in finding.values["failures"]] == ["RGB", "LiDAR"]
    assert finding.values["fusions"] == 1  # RGB alone is none


def test_without_a_fusion_there_is_no_finding_on_a_failing_sensor():
    alone = Comparison({"rgb-maxpool": cell(0.9)}, "rgb-maxpool", {})
    assert sensor_failure(stress(cells=("rgb-maxpool",)), alone) is None


# --- RGB alone


@pytest.mark.parametrize(
    ("top1", "zero_shot", "outcome"), [(0.8, 0.9, "transfers"), (0.8, 0.505, "retrieves"), (0.003, 0.505, "chance")]
)
def test_rgb_alone(top1, zero_shot, outcome):
    assert rgb_alone(evaluated(top1, zero_shot), 0.5).outcome == outcome


def test_tuning_gains_where_intervals_do_not_overlap():
    projector, full = rgb_alone(evaluated(), 0.5).values["tuned"]
    assert (projector["name"], projector["apart"]) == ("projector tuned", False)
    assert (full["name"], full["apart"], full["gap"]) == ("fully tuned", True, pytest.approx(0.09))
    assert not any(tuned["apart"] for tuned in rgb_alone(evaluated(half=None), 0.5).values["tuned"])


# --- few labels


def test_pretraining_pays_until_the_intervals_overlap():
    finding = few_labels(labels())
    assert finding.outcome == "pays" and finding.values["overlap_from"] == 100 and finding.values["fewest"] == 10
    assert finding.values["rival"] == "fully tuned" and finding.values["behind"] == [10]
    late = few_labels(labels(most=0.9))
    assert late.values["behind"] == [10, 1400] and late.values["overlap_from"] is None


@pytest.mark.parametrize(
    ("scratch", "half", "outcome"), [(0.925, 0.01, "level"), (0.96, 0.01, "ahead"), (0.55, None, "untested")]
)
def test_few_labels_otherwise(scratch, half, outcome):
    assert few_labels(labels(scratch, half)).outcome == outcome


def test_few_labels_at_chance():
    assert few_labels(labels(0.5, pretrained=(0.5, 0.505, 0.49))).outcome == "chance"


# --- the course's mark


def test_a_mark_that_untrained_nets_pass_is_empty():
    assert course_mark(evaluated()).outcome == "empty"
    assert course_mark(evaluated(untrained_loss=3.6)).outcome == "selective"


def test_the_marks_are_those_that_evaluate_applies():
    assert MARKS == assessment.MARKS
    assert (SCHEME["num_batches"], SCHEME["batch_size"]) == (assessment.NUM_BATCHES, COURSE_BATCH_SIZE)
    assert SCHEME["max_points"] == 10 and SCHEME["chance_loss"] == pytest.approx(3.466, abs=5e-4)


# --- the choice of answers


def test_at_most_six_answers_in_order_without_gaps():
    findings = [Finding(str(place), "", "", {}) for place in range(7)]
    assert answers(findings) == findings[:6]
    assert answers([None, *findings[:2], None, findings[2]]) == findings[:3]


def test_above_and_apart():
    assert is_above({"r2": 0.2, "r2_ci95": 0.1}, "r2", 0.0) and not is_above({"r2": 0.1, "r2_ci95": 0.1}, "r2", 0.0)
    assert is_above({"r2": 0.1, "r2_ci95": None}, "r2", 0.0)
    first, second = {"accuracy": 0.9, "accuracy_ci95": 0.05}, {"accuracy": 0.8, "accuracy_ci95": 0.04}
    assert are_apart(first, second) and not are_apart(first, second | {"accuracy_ci95": 0.06})
    assert not are_apart(first, second | {"accuracy_ci95": None})

"""Analyses from literal numbers: who is named, that a verdict turns a sentence, that no number comes from nowhere."""

import ast
import re
from dataclasses import replace
from pathlib import Path

import pytest

from pipeline.results import fusion_prose, stress_prose
from pipeline.results.evidence import Ablation, Comparison, Curve, Stress
from pipeline.results.statistics import Difference, Verdict

SOURCES = sorted((Path(__file__).parent.parent / "pipeline" / "results").glob("*prose.py"))
SAME, WORSE, BETTER = (
    Verdict(Difference(gap, 0.05, 0.1), p, word)
    for gap, p, word in ((-0.0125, 1.0, "not distinguishable"), (-0.275, 0.0021, "worse"), (0.275, 0.0034, "better"))
)
UNTESTED = Verdict(Difference(-0.0125, None, None), None, "not distinguishable")


def cell(accuracy: float, half: float | None = 0.0123, **others: float) -> dict:
    base = {"val_loss": 0.0456, "loss": 0.0567, "ece": 0.0089, "chance": 0.5, "parameters": 290_161, "epochs": 4}
    return base | {"accuracy": accuracy, "accuracy_ci95": half, "seconds_per_epoch": 1.25} | others


CELLS = {
    "rgb-maxpool": cell(0.7, ece=0.0777),
    "late-maxpool": cell(0.975, parameters=580_193, seconds_per_epoch=2.5),
    "gated-maxpool": cell(0.9625),
}
STUDY = Comparison(CELLS, "late-maxpool", {"rgb-maxpool": WORSE, "gated-maxpool": SAME})
ABLATED = Ablation(
    {"late": ["late-maxpool", "late-strided", "late-strided_extra"]},
    {name: cell(accuracy) for name, accuracy in (("late-maxpool", 0.975), ("late-strided", 0.9))}
    | {"late-strided_extra": cell(0.95, seconds_per_epoch=1.0)},
    {"late-strided": WORSE, "late-strided_extra": SAME},
)
POINTS = {
    25: {name: cell(accuracy, train_loss=0.0031) for name, accuracy in (("rgb", 0.8), ("late", 0.6))},
    700: {"rgb": cell(0.975), "late": cell(0.9875)},
}
CURVE = Curve(POINTS, {(25, "rgb"): BETTER, (700, "rgb"): SAME}, "late", 0.5)
FAULTS = {"clean": (1.0, 0.975), "lidar_dropout": (0.9, 0.55), "rgb_dark": (0.6, 0.95)}
SINGLES = {
    "rgb_missing": (0.5, 0.9),
    "lidar_missing": (0.8, 0.5),
    "other_scene": (1.0, 0.975),
    "other_shape": (0.9, 0.1),
}
PAIR = ("hadamard-maxpool", "late-maxpool")
STRESS = Stress(
    {
        fault: {name: [(0.3, cell(each))] for name, each in zip(PAIR, told, strict=True)}
        for fault, told in FAULTS.items()
    }
    | {
        fault: {name: [(None, cell(each))] for name, each in zip(PAIR, told, strict=True)}
        for fault, told in SINGLES.items()
    },
    {
        fault: {name: cell(each) for name, each in zip(PAIR, told, strict=True)}
        for fault, told in (FAULTS | SINGLES).items()
    },
    {("lidar_dropout", "hadamard-maxpool"): BETTER, ("rgb_dark", "hadamard-maxpool"): SAME},
    "late-maxpool",
    100,
    0.5,
)
STRESS.accuracy["clean"] = {name: [(None, rows[0][1])] for name, rows in STRESS.accuracy["clean"].items()}
TEXTS = {
    "comparison": lambda: fusion_prose.comparison(STUDY, 400),
    "ablation": lambda: fusion_prose.ablation(ABLATED),
    "curve": lambda: stress_prose.curve(CURVE),
    "stress": lambda: stress_prose.stress(STRESS),
}


@pytest.mark.parametrize("name", TEXTS)
def test_an_analysis_has_two_to_four_hundred_words(name):
    assert 200 <= len(TEXTS[name]().split()) <= 400


def test_the_leader_the_gap_and_the_verdicts_are_named():
    text = TEXTS["comparison"]()
    assert "`late-maxpool` leads by validation loss" in text and "a gap of 110.0 of the 400 test pairs" in text
    assert "Beside `late-maxpool`, `rgb-maxpool` is worse by 0.2750 (p 0.0021)" in text
    assert "Not distinguishable from `late-maxpool`: `gated-maxpool`; the differences seen there, up to 0.0125" in text
    assert "The leading fusion is shown to be better than `rgb-maxpool`" in text
    assert "`gated-maxpool` is the smallest choice" in text and "farthest in `rgb-maxpool` (0.0777)" in text


def test_a_verdict_that_turns_turns_the_sentences():
    text = fusion_prose.comparison(replace(STUDY, verdicts={"rgb-maxpool": SAME, "gated-maxpool": WORSE}), 400)
    assert "`gated-maxpool` is worse" in text and "`late-maxpool` is the smallest choice" in text
    assert "It is not shown to be better than `rgb-maxpool`: on clean data one sensor may do" in text
    text = fusion_prose.ablation(replace(ABLATED, verdicts={"late-strided": BETTER, "late-strided_extra": WORSE}))
    assert "Take `late-strided`: shown to be better than maxpool" in text
    assert "no other downsampling is shown to be better" in TEXTS["ablation"]()


def test_a_single_sensor_that_leads_is_told():
    study = replace(STUDY, leader="rgb-maxpool", verdicts={"late-maxpool": WORSE, "gated-maxpool": WORSE})
    text = fusion_prose.comparison(study, 400)
    assert "a second sensor brings nothing that these figures show" in text and "Use the single sensor" in text


def test_few_scenes_and_whom_a_net_believes():
    text = TEXTS["curve"]()
    assert "With 25 scenes `rgb` is better by 0.2750 (p 0.0034)" in text and "told from it with 25 scenes" in text
    assert "no fusion has a higher mean" in text and "losses of 0.003" in text
    text = TEXTS["stress"]()
    assert "LiDAR is believed more often by `late-maxpool`. RGB is believed more often by `hadamard-maxpool`." in text
    assert "Expect LiDAR to fail: `hadamard-maxpool`. Expect RGB to fail: `late-maxpool`." in text
    assert "under lidar dropout `hadamard-maxpool` is better" in text and "under rgb dark" not in text


@pytest.mark.parametrize("accuracy", [0.5, 0.975])
def test_one_seed_one_cell_ties_and_chance(accuracy):
    lone = {name: cell(accuracy, None) for name in CELLS}
    text = fusion_prose.comparison(Comparison(lone, "late-maxpool", dict.fromkeys(lone, UNTESTED)), 400)
    assert "One seed gave these figures" in text and "have the same test accuracy" in text and "±" not in text
    assert ("Not shown to be above chance" in text) == (accuracy == 0.5)
    text = fusion_prose.comparison(Comparison({"late-maxpool": cell(accuracy)}, "late-maxpool", {}), 400)
    assert "no other cell" in text
    assert "nothing to compare" in fusion_prose.ablation(Ablation({}, {}, {}))


def shown(numbers: list[float]) -> set[float]:
    """What may stand in a text: the numbers, rounded as texts round, their differences and ratios."""
    known = {*numbers, *(a - b for a in numbers for b in numbers), *(a / b for a in numbers for b in numbers if b)}
    return {round(abs(number), digits) for number in known for digits in (2, 3, 4)}


def test_no_number_comes_from_nowhere():
    text = TEXTS["comparison"]()
    figures = [value for told in CELLS.values() for value in told.values()] + [400.0, 110.0, 95.0]
    figures += [value for verdict in STUDY.verdicts.values() for value in (verdict.difference.mean, verdict.p)]
    found = [float(number.replace(",", "")) for number in re.findall(r"\d[\d,]*(?:\.\d+)?", text)]
    assert len(found) > 15 and set(found) <= shown(figures)


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: path.name)
def test_templates_hold_no_figures(path):
    """Digits in a sentence are computed, but for the names of things."""
    names = r"95%|F1|R2|[Tt]op-1|top-5|stride-2"
    code = ast.parse(path.read_text())
    functions = [node for node in ast.walk(code) if isinstance(node, ast.FunctionDef | ast.Module)]
    docstrings = {id(node.body[0].value) for node in functions if isinstance(node.body[0], ast.Expr)}
    for node in ast.walk(code):
        if id(node) in docstrings:
            continue
        parts = node.values if isinstance(node, ast.JoinedStr) else [node]
        for part in parts:
            text = part.value if isinstance(part, ast.Constant) and isinstance(part.value, str) else ""
            if " " in text:
                assert not re.search(r"\d", re.sub(names, "", text)), text

"""Written analyses from literal evidence: what they must say, what flips with a verdict, whence each number comes."""

import ast
import random
import re
from math import log
from pathlib import Path

import pytest

from pipeline.evaluation.assessment import BATCHES, LOSS_POINTS, MAX_LOSS, PASS
from pipeline.report.fusion.comparisons import Ablation, Comparison, Curve
from pipeline.results import chain_prose, fusion_prose, prose, stress_prose
from support.literal_studies import (
    ALL,
    EVEN,
    FAULTS,
    ablated,
    cell,
    compared,
    curved,
    evaluated,
    labelled,
    stressed,
    verdict,
)

NAMED = re.compile(r"`[^`]*`|95%|F1|\bR2\b|top-1|top-5|stride-2")
NUMBER = re.compile(r"\d[\d,]*(?:\.\d+)?(?:e[+-]\d+)?")


FULL = {
    "comparison": lambda **k: fusion_prose.comparison(compared(**k), 400),
    "ablation": lambda **k: fusion_prose.ablation(ablated(**k)),
    "curve": lambda **k: stress_prose.curve(curved(**k)),
    "stress": lambda **k: stress_prose.stress(stressed(**k)),
    "cilp": lambda **k: chain_prose.cilp(evaluated(**k), 0.5),
    "labels": lambda **k: chain_prose.labels(labelled(**k), 0.87),
}
STUDIES = ["comparison", "ablation", "curve", "stress"]


def words(text):
    return len(text.split())


def flat(value):
    """Every number anywhere in evidence, and every count and key of it."""
    if isinstance(value, bool) or value is None or isinstance(value, str):
        return [int(value)] if isinstance(value, str) and value.isdigit() else []
    if isinstance(value, int | float):
        return [value]
    if isinstance(value, dict):
        return [n for key, each in value.items() for n in [*flat(key), *flat(each)]] + [len(value)]
    if isinstance(value, list | tuple):
        return [n for each in value for n in flat(each)] + [len(value)]
    return flat(vars(value))


def shown(values):
    forms = "{:.4f}", "{:.3f}", "{:.2f}", "{:.1f}", "{:.0f}", "{:.2g}", "{:g}", "{:,}"
    return {form.format(abs(value)) for value in values for form in forms}


def strangers(text, values):
    return [n for n in NUMBER.findall(NAMED.sub("", text)) if n.rstrip(",") not in shown(values)]


def gaps(values):
    return [a - b for a in values for b in values]


def ratios(values):
    return [a / b for a in values for b in values if b]


def test_every_number_of_the_comparison_is_computed():
    text = fusion_prose.comparison(compared(), 400)
    known = flat(compared()) + [400, 0.05, 0.04, 16.0, 6.0, 700 / 2000, 0.9 / 2.0]
    assert "0.0400 or 16.0 of the 400 test pairs" in text and strangers(text, known) == []
    assert strangers(text.replace("0.0400", "0.0417"), known) and strangers(text.replace("16.0", "17.3"), known)


def test_every_number_of_the_ablation_is_computed():
    text, study = fusion_prose.ablation(ablated()), ablated()
    known = flat(study) + [0.05]
    for key in ("parameters", "seconds_per_epoch", "peak_memory_mb", "loss", "accuracy"):
        each = [figures[key] for figures in study.cells.values()]
        known += gaps(each) + ratios(each)
    known += ratios([figures["seconds_per_epoch"] * figures["epochs"] for figures in study.cells.values()])
    assert strangers(text, known) == [] and strangers(text + " 0.7777", known) == ["0.7777"]
    # 0.8 s x 6 epochs against 2.0 s x 4: 0.60 of the training; 0.40 of the epoch; 350 of 500 MB
    assert "0.40 times" in text and "0.60 times" in text and "0.70 times" in text


def test_every_number_of_curve_and_stress_is_computed():
    known = flat(curved()) + [0.75, log(2), 0.17, 0.05, 1, 4]
    assert strangers(FULL["curve"](), known) == [] and "0.1700" in FULL["curve"]()
    study = stressed()
    both = ["late-maxpool", "add-maxpool"]
    mean = {(f, c): figures["accuracy"] for f, cells in study.means.items() for c, figures in cells.items()}
    known = flat(study) + [1, 2]
    known += [sum(mean[fault, name] for name in both) / 2 for fault in study.means]
    for kind in (FAULTS[:2], FAULTS[2:]):
        known += [sum(mean[fault, name] for fault in kind) / 2 for name in study.means["clean"]]
    assert strangers(FULL["stress"](), known) == []


def test_every_number_of_the_chain_is_computed():
    marks = [LOSS_POINTS + BATCHES, PASS, MAX_LOSS]
    known = flat(evaluated()) + marks + [0.5, 400, 0.8 / 0.0025, 0.05, (3.44 - 3.05) / (3.44 - 2.94), 0.99 - 0.9, 0.005]
    assert strangers(FULL["cilp"](), known) == [] and "320 times chance" in FULL["cilp"]()
    known = flat(labelled()) + [0.87, log(2), 12] + [0.93 - 0.55, 0.99 - 0.55, 0.99 - 0.93, 0.99 - 0.88, 0.99 - 0.86]
    assert strangers(FULL["labels"](), known) == [] and "0.3800 less than everything tuned" in FULL["labels"]()


@pytest.mark.parametrize("name", FULL)
@pytest.mark.parametrize("half", [0.01, None])
def test_two_nets_make_two_to_four_hundred_words(name, half):
    more = {"p": None, "word": EVEN} if half is None and name in STUDIES else {}
    text = FULL[name](half=half, **more)
    assert 200 <= words(text) <= 400 and text.endswith("\n") and not text.endswith("\n\n")
    assert "  " not in text and "None" not in text and "nan" not in text and "#" not in text and "|" not in text
    assert ("±" in text) == (half is not None) or name in ("ablation", "curve", "stress")


def test_an_open_matrix_stays_within_four_hundred_words():
    for seed in range(60):
        rng = random.Random(seed)
        names = [f"{name}-maxpool" for name in ALL] + ["late-strided", "concat-strided_extra"]
        base = names[: len(ALL)]
        cells = {
            name: cell(round(rng.uniform(0.4, 1), 4), rng.choice([0.0, 0.2]), val_loss=rng.random(), ece=rng.random())
            for name in names
        }
        leader = rng.choice(base)

        def draw(rng=rng):
            return verdict(rng.uniform(-0.2, 0.2), rng.choice(["better", "worse", EVEN]), rng.random())

        first = Comparison({name: cells[name] for name in base}, leader, {n: draw() for n in base if n != leader})
        curve = {n: {f: {"accuracy": rng.random(), "accuracy_ci95": 0.1, "train_loss": rng.random()} for f in ALL}
                 for n in (25, 50, 100, 250, 700)}  # fmt: skip
        for point in list(curve.values())[1:3]:
            del point[rng.choice(ALL[3:])]
        told = {(n, f): draw() for n, point in curve.items() for f in point if f != "lidar"}
        groups = {"late": ["late-maxpool", "late-strided"], "concat": ["concat-maxpool", "concat-strided_extra"]}
        apart = Ablation(groups, cells, {"late-strided": draw(), "concat-strided_extra": draw()})
        hard = stressed(cells=names)
        for text in (
            fusion_prose.comparison(first, 400),
            fusion_prose.ablation(apart),
            stress_prose.curve(Curve(curve, told, "lidar", 0.5)),
            stress_prose.stress(hard),
        ):
            assert 200 <= words(text) <= 400, text


@pytest.mark.parametrize("name", STUDIES)
def test_a_flipped_verdict_flips_the_sentence(name):
    better, worse, even = (FULL[name](word=word) for word in ("better", "worse", EVEN))
    claims = [set(re.findall(r"(?<!not )[Ss]hown to be (better|worse)", text)) for text in (better, worse, even)]
    assert claims == [{"better"}, {"worse"}, set()] and "distinguishable" in even
    assert "p 0.0031" in better and "p 0.0031" in worse and "0.0031" in even


def test_the_second_sensor_pays_only_where_a_test_says_so():
    assert "the second one pays" in fusion_prose.comparison(compared("worse"), 400)
    assert "not shown to beat `rgb-maxpool`" in fusion_prose.comparison(compared(EVEN, 0.4), 400)
    cells = compared().cells
    for word, said in (("better", "`late-maxpool`"), ("worse", "no fusion"), (EVEN, "no fusion")):
        text = fusion_prose.comparison(
            Comparison(cells, "rgb-maxpool", {"late-maxpool": verdict(0.04, word, 0.01)}), 400
        )
        assert f"shown to beat it: {said}." in text


def test_the_cheapest_is_sought_only_among_what_is_not_worse():
    assert "2,000 parameters are the fewest (`late-maxpool`; 1.00 times" in FULL["comparison"](word="worse")
    text = FULL["comparison"](word=EVEN)
    assert "700 parameters are the fewest (`rgb-maxpool`; 0.35 times" in text and "0.0400 below the leader's" in text


def test_ties_are_shared():
    cells = {name: cell(0.9) for name in ("late-maxpool", "add-maxpool", "rgb-maxpool")} | {"gated-maxpool": cell(0.8)}
    cells["add-maxpool"] = cell(0.90000001)  # what looks the same is called the same
    told = {name: verdict(0.0, EVEN, 1.0) for name in cells if name != "late-maxpool"}
    text = fusion_prose.comparison(Comparison(cells, "late-maxpool", told), 400)
    assert "0.8000 (`gated-maxpool`) to 0.9000 (`late-maxpool`, `add-maxpool` and `rgb-maxpool`)" in text
    assert "0.9000 (`late-maxpool` and `add-maxpool`), the same." in text


def test_a_lone_cell_has_nothing_to_be_held_against():
    text = fusion_prose.comparison(Comparison({"add-maxpool": cell(0.93)}, "add-maxpool", {}), 400)
    assert "the only cell" in text and "distinguishable from" not in text and 200 <= words(text) <= 400
    assert "may do as well" not in text and "Add a cell" in text and "No net of a single sensor" in text
    lone = Curve({25: {"add": {"accuracy": 0.8, "accuracy_ci95": None}}}, {}, "add", 0.5)
    assert 200 <= words(stress_prose.curve(lone)) <= 400 and "no comparison" in stress_prose.curve(lone)
    assert 200 <= words(stress_prose.stress(stressed(cells=("add-maxpool",)))) <= 400
    assert 200 <= words(stress_prose.stress(stressed(cells=("rgb-maxpool",)))) <= 400


def test_one_seed_gets_no_verdict():
    for name in STUDIES:
        text = FULL[name](word=EVEN, p=None, half=None)
        assert "No test was possible" in text and "p 0" not in text and "train more seeds" in text
    for text in (FULL["cilp"](half=None), FULL["labels"](half=None)):
        assert "One seed gave these figures" in text and "overlaps" not in text and "rain more seeds" in text


def test_nets_that_learnt_nothing_are_not_recommended():
    dead = {name: cell(0.5, 0.0) for name in ("late-maxpool", "late-strided")}
    even = {"late-strided": verdict(0.0, EVEN, 1.0)}
    points = {n: {f: {"accuracy": 0.5, "accuracy_ci95": 0.0} for f in ("rgb", "late")} for n in (25, 700)}
    told = {(n, "rgb"): verdict(0.0, EVEN, 1.0) for n in points}
    for text in (
        fusion_prose.comparison(Comparison(dead, "late-maxpool", even), 400),
        fusion_prose.ablation(Ablation({"late": list(dead)}, dead, even)),
        stress_prose.curve(Curve(points, told, "late", 0.5)),
        stress_prose.stress(stressed(level=0.5, word=EVEN, half=0.0)),
    ):
        assert "No net here is shown to be above chance" in text and "Get a net to learn first" in text
        assert text.count("\n- ") == 1 and 200 <= words(text) <= 400
    assert "Get CILP to learn first" in FULL["cilp"](top1=0.005)
    assert "0.98 times" not in FULL["cilp"](top1=0.0025) and "not shown to be above chance" in FULL["cilp"](top1=0.0025)
    assert "Get a net to learn first" in chain_prose.labels(labelled(0.5, most=0.5), 0.5)


def test_without_groups_there_is_one_sentence():
    assert fusion_prose.ablation(Ablation({}, {}, {})).count(".") == 1


def test_the_ablation_says_who_saves_time():
    assert "`strided` shortens every training here and is not shown to change accuracy" in FULL["ablation"](word=EVEN)
    assert "`strided_extra` does not shorten every training here" in FULL["ablation"](word=EVEN)
    assert "not for `late-strided`" in FULL["ablation"](word="worse")
    assert "take it for `late-strided`" in FULL["ablation"](word="better")
    assert "`strided` has 0.80 times the parameters of `strided_extra`" in FULL["ablation"]()


def test_the_curve_says_where_differences_end():
    assert "From 100 scenes on, none is distinguishable" in FULL["curve"]()
    assert "nothing is distinguishable at any number of scenes" in FULL["curve"](word=EVEN)
    study = curved()
    study.verdicts[700, "rgb"] = verdict(-0.01, "worse", 0.01)
    assert "differences last to 700 scenes" in stress_prose.curve(study)
    assert "`late` with 25; `rgb` with 100" in FULL["curve"]()  # 0.81 and 0.86 pass 0.75, 0.64 does not
    assert "none of 4 trainings ended above half" in FULL["curve"]()
    study.points[25]["late"]["train_loss"] = 0.6
    assert "1 of 4 trainings ended above half of that, where low accuracy may be" in stress_prose.curve(study)


def test_stress_says_whom_the_nets_believe_and_what_a_missing_sensor_leaves():
    study = stressed()
    for name, share in (("late-maxpool", 0.02), ("add-maxpool", 0.97)):
        study.means["other_shape"][name]["accuracy"] = share
    text = stress_prose.stress(study)
    assert "More often LiDAR is believed by `late-maxpool`." in text
    assert "follow RGB is 0.0200 (`late-maxpool`) to 0.9700 (`add-maxpool`)" in text
    for fault in ("rgb_missing", "lidar_missing"):
        for figures in study.means[fault].values():
            figures["accuracy"] = 0.505
    assert stress_prose.stress(study).count("none of 2 shown to be above chance") == 2
    assert "train for it" in stress_prose.stress(study)


def test_stress_names_the_worst_fault_and_the_single_sensor_that_cannot_see_it():
    study = stressed()
    for figures in study.means["rgb_blur"].values():
        figures["accuracy"] = 0.4
    for fault in FAULTS[:2]:
        study.means[fault]["rgb-maxpool"]["accuracy"] = 0.99
    text = stress_prose.stress(study)
    assert "becomes 0.4000 (rgb blur)" in text and "If LiDAR may be faulty, consider `rgb-maxpool`" in text
    study.means["lidar_noise"]["add-maxpool"]["accuracy"] = study.means["lidar_range"]["add-maxpool"]["accuracy"] = 1.0
    assert "If LiDAR may be faulty, start with `add-maxpool`" in stress_prose.stress(study)


def test_tuning_is_recommended_only_where_its_interval_is_clear_of_zero_shot():
    assert "prefer everything tuned" in FULL["cilp"]()
    assert "Start with zero-shot" in FULL["cilp"](tuned=0.91)
    assert FULL["cilp"](tuned=0.91).count("not distinguishable from zero-shot") == 2
    assert "0.0900 below zero-shot" in FULL["cilp"](tuned=0.81)


def test_scratch_catches_up_where_intervals_overlap():
    assert "caught up from 100 labels on, and is last behind with 10" in FULL["labels"]()
    assert "behind at none of the numbers" in FULL["labels"](scratch=0.925)
    metrics = labelled()
    metrics["scratch"]["1400"]["accuracy"] = 0.9
    assert "still behind with 1,400 labels" in chain_prose.labels(metrics, 0.87)
    assert "1 of 12 trainings" not in FULL["labels"]() and "12 of 12 trainings" in FULL["labels"](loss=0.6)


@pytest.mark.parametrize("module", [prose, fusion_prose, stress_prose, chain_prose], ids=lambda module: module.__name__)
def test_templates_hold_no_figures(module):
    code = ast.parse(Path(module.__file__).read_text())
    skipped = {
        id(part)
        for node in ast.walk(code)
        for part in ast.walk(getattr(node, "format_spec", None) or ast.Pass())  # such as .4f
    } | {id(node.value) for node in ast.walk(code) if isinstance(node, ast.Expr)}  # docstrings
    constants = [n for n in ast.walk(code) if isinstance(n, ast.Constant) and id(n) not in skipped]
    texts = [
        n.value for n in constants if isinstance(n.value, str) and n.value != "_ci95" and not n.value.isidentifier()
    ]
    assert len(texts) > 15
    for text in texts:
        forms = re.sub(r"\{:[^}]*\}", "", text)  # {:+.4f} shows no digit of its own
        assert not re.search(r"\d", NAMED.sub("", forms)), text

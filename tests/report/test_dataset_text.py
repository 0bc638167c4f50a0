"""The account of the data: literal metrics and frames -> rules, table cells and sentences."""

import numpy as np
import pandas as pd
import pytest
from markdown_it import MarkdownIt

from pipeline.report.dataset import tables as data_tables
from pipeline.report.dataset.trivial_baselines import Rule, Shortcut, accuracy, best_rule, chance, shortcuts
from pipeline.results import data_prose

CLASS = {
    "rgb_files": 1001,
    "lidar_files": 1000,
    "pairs_found": 999,
    "returns_min": 149,
    "returns_mean": 286.13,
    "returns_max": 490,
    "depth_min": 17.8,
    "depth_mean": 23.714,
    "depth_max": 32.0,
    "lit_mean": 113.45,
    "brightness_mean": 125.69,
}
SPLITS = {name: {"cubes": pairs, "spheres": pairs} for name, pairs in {"train": 697, "val": 100, "test": 200}.items()}
DATA = SPLITS | {
    "pairs": 1994,
    "cubes": CLASS,
    "spheres": CLASS | {"returns_min": 1, "rgb_files": 999},
    "warnings": {},
    "left_out": {"pairs": 0, "faults": []},
    "not_asked_for": 0,
    "duplicates": 0,
    "near_duplicates": 0,
}
FAULT = {"kind": "unpaired", "path": "data/cubes/rgb/0007.png", "found": "nothing", "scenes": "0007"}
FOUND = {
    "returns": Shortcut(Rule(207.5, 0), 0.9, 0.91),
    "lit": Shortcut(Rule(np.inf, 0), 0.5, 0.5),
    "brightness": Shortcut(Rule(1.04, 1), 0.65, 0.6625),
}


def account(**changes) -> str:
    return data_prose.account(DATA | changes, FOUND, 0.5)


def rows(table: str) -> dict[str, list[str]]:
    cells = ([cell.strip() for cell in line.strip("|").split("|")] for line in table.splitlines()[2:])
    return {first: others for first, *others in cells}


# --- rules


@pytest.mark.parametrize(
    ("values", "label", "rule"),
    [
        ([1, 2, 3, 4], [1, 1, 0, 0], Rule(2.5, 0)),  # cube above
        ([1, 2, 3, 4], [0, 0, 0, 1], Rule(3.5, 1)),  # sphere above
        ([4, 1, 3, 2], [0, 1, 0, 1], Rule(2.5, 0)),  # in any order
        ([1, 1, 2, 2], [1, 0, 0, 0], Rule(-np.inf, 0)),  # none is better than always cube
        ([1, 1, 2, 2], [1, 1, 1, 0], Rule(1.5, 0)),
        ([5.0], [1], Rule(np.inf, 0)),  # a single frame: always sphere
    ],
)
def test_the_best_rule(values, label, rule):
    assert best_rule(np.array(values), np.array(label)) == rule


def test_a_rule_is_as_good_as_any_that_is_tried_one_by_one():
    draw = np.random.default_rng(0)
    for _ in range(20):
        values, label = draw.integers(0, 9, 30), draw.integers(0, 2, 30)
        tried = [accuracy(Rule(cut - 0.5, above), values, label) for cut in range(11) for above in (0, 1)]
        assert accuracy(best_rule(values, label), values, label) == max(tried)


def test_accuracy_counts_what_lies_on_the_threshold_as_below():
    assert accuracy(Rule(2.0, 1), np.array([1, 2, 3, 4]), np.array([0, 0, 1, 0])) == 0.75


def test_shortcuts_learn_from_the_training_split_alone():
    frames = pd.DataFrame({
        "class": ["cubes", "cubes", "spheres", "spheres", "cubes", "spheres", "spheres", "cubes"],
        "split": ["train"] * 4 + ["test"] * 3 + ["val"],
        "returns": [300, 280, 100, 120, 150, 90, 110, 0],
        "lit": [7, 7, 7, 7, 7, 7, 7, 7],
        "brightness": [10.0, 20.0, 30.0, 40.0, 50.0, 60.0, 70.0, 80.0],
    })  # fmt: skip
    found = shortcuts(frames)
    assert found["returns"] == Shortcut(Rule(200.0, 0), 1.0, 2 / 3)  # the cube of 150 returns is missed
    assert found["lit"].train == 0.5
    assert found["brightness"] == Shortcut(Rule(25.0, 1), 1.0, 2 / 3)
    assert chance(frames) == 2 / 3


# --- tables


def test_the_table_of_contents():
    told = rows(data_tables.contents(DATA))
    assert told["RGB files found"] == ["1,001", "999", "2,000"]
    assert told["LiDAR files found"] == ["1,000", "1,000", "2,000"]
    assert told["pairs found"] == ["999", "999", "1,998"]
    assert told["pairs used"] == ["997", "997", "1,994"]
    assert told["train: pairs to train on"] == ["697", "697", "1,394"]
    assert told["test: pairs to report on"] == ["200", "200", "400"]
    assert told["returns of a frame: least / mean / most"] == ["149 / 286.1 / 490", "1 / 286.1 / 490", ""]
    assert told["range of a return: nearest / mean / farthest"] == ["17.80 / 23.71 / 32.00"] * 2 + [""]
    assert told["lit pixels of a picture, mean"] == ["113.5", "113.5", ""]
    assert told["their brightness, mean"] == ["125.7", "125.7", ""]


def test_the_table_of_shortcuts():
    told = rows(data_tables.shortcuts(FOUND, 0.5))
    assert told["LiDAR returns"] == ["cube above 207.5", "0.9000", "0.9100", "0.5000"]
    assert told["lit pixels of the RGB"][0] == "always sphere"
    assert told["brightness of the RGB"][0] == "sphere above 1.0"


@pytest.mark.parametrize(
    ("rule", "said"), [(Rule(-np.inf, 0), 0), (Rule(-np.inf, 1), 1), (Rule(np.inf, 0), 1), (Rule(np.inf, 1), 0)]
)
def test_a_rule_without_a_threshold_says_in_words_what_it_says(rule, said):
    table = data_tables.shortcuts(FOUND | {"lit": Shortcut(rule, 0.5, 0.5)}, 0.5)
    assert rows(table)["lit pixels of the RGB"][0] == ("always cube", "always sphere")[said]
    assert accuracy(rule, np.array([3.0]), np.array([said])) == 1.0


# --- prose


def test_a_clean_set():
    told = account()
    assert "Every split holds as many cubes as spheres" in told and "right in 0.5000 of the test pairs" in told
    assert "No pair was left out." in told and "There was no warning." in told
    assert "No frame occurs twice. No pair looks nearly like one of another split." in told
    assert 80 <= len(told.split()) <= 160


def test_classes_that_are_not_balanced():
    told = data_prose.account(DATA | {"test": {"cubes": 150, "spheres": 50}}, FOUND, 0.75)
    assert "697 to 697 (train), 100 to 100 (val) and 150 to 50 (test)" in told
    assert "more frequent class is right in 0.7500 of the test pairs" in told


def test_what_was_left_out_is_named():
    told = account(left_out={"pairs": 2, "faults": [FAULT, FAULT | {"kind": "name", "scenes": ""}]})
    assert "2 pairs, whole or half, had to be left out. What was found wrong:\n\n" in told
    assert "- unpaired: `data/cubes/rgb/0007.png`, found nothing (scene 0007)\n" in told
    assert "- name: `data/cubes/rgb/0007.png`, found nothing\n\n" in told and "more, in" not in told


def test_many_faults_are_cut_and_counted():
    told = account(left_out={"pairs": 5012, "faults": [FAULT] * 5012})
    assert told.count("- unpaired") == 10 and "- and 5,002 more, in `../prepare/metrics.json`" in told
    assert "5,012 pairs, whole or half" in told


def test_fewer_scenes_asked_for_are_no_fault():
    told = account(not_asked_for=12)
    assert "12 pairs lie in no split, since fewer scenes were asked for. No fault was found." in told


def test_names_and_contents_of_files_cannot_mark_up_the_page():
    hostile = {"path": "data/`<b>\nx`|.png", "found": "*a* <script>\n# b | [c](d) `e`", "kind": "name", "scenes": ""}
    told = account(left_out={"pairs": 1, "faults": [hostile]})
    tokens = MarkdownIt("commonmark", {"html": True}).enable("table").parse(told)
    [item] = [token for token in tokens if token.type == "inline" and token.content.startswith("name")]
    kinds = {child.type for child in item.children}
    assert kinds <= {"text", "code_inline"}
    assert "".join(child.content for child in item.children) == (
        "name: data/`<b> x`|.png, found *a* <script> # b | [c](d) `e`"
    )


def test_warnings_in_words():
    told = account(warnings={"black": 1, "gap": 2, "no-return": 1_500, "odd": 3, "duplicate": 4}, duplicates=4)
    assert (
        "left as it is: 1 black picture, 2 gaps in the scene numbers, 1,500 LiDAR frames without a return and 3 odd."
        in told
    )
    assert "Frames that repeat another of their class, bit for bit: 4." in told


def test_copies_are_no_other_warning():
    told = account(warnings={"near-duplicate": 3}, near_duplicates=3)
    assert "There was no other warning." in told
    assert "Pairs that look nearly like one of another split, and may flatter test figures: 3." in told
    assert "No frame occurs twice." in told


def test_what_a_net_has_to_beat():
    assert "0.9100 by the number of LiDAR returns, 0.5000 by that of lit pixels and 0.6625 by their" in account()
    assert "A net has to beat 0.9100" in account() and "the number of LiDAR returns would do" in account()


def test_few_test_pairs_show_nothing():
    told = account(test={"cubes": 1, "spheres": 1})
    assert "On 2 test pairs that is not shown to be above chance." in told and "has to beat" not in told

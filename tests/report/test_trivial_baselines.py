"""Trivial baselines: rules, their accuracy and their table, from literal frames."""

import numpy as np
import pandas as pd
import pytest
from sklearn.tree import DecisionTreeClassifier

from pipeline.report.dataset.tables import baseline_table, rule_text
from pipeline.report.dataset.trivial_baselines import (
    Baseline,
    Rule,
    accuracy,
    best_rule,
    majority_share,
    trivial_baselines,
)


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


def test_a_rule_is_as_accurate_as_any_that_is_tried_one_by_one():
    draw = np.random.default_rng(0)
    for _ in range(20):
        values, label = draw.integers(0, 9, 30), draw.integers(0, 2, 30)
        tried = [accuracy(Rule(cut - 0.5, above), values, label) for cut in range(11) for above in (0, 1)]
        assert accuracy(best_rule(values, label), values, label) == max(tried)


def test_accuracy_counts_what_lies_on_the_threshold_as_below():
    assert accuracy(Rule(2.0, 1), np.array([1, 2, 3, 4]), np.array([0, 0, 1, 0])) == 0.75


def test_baselines_learn_from_the_training_split_alone():
    frames = pd.DataFrame({
        "class": ["cubes", "cubes", "spheres", "spheres", "cubes", "spheres", "spheres", "cubes"],
        "split": ["train"] * 4 + ["test"] * 3 + ["val"],
        "returns": [300, 280, 100, 120, 150, 90, 110, 0],
        "lit": [7, 7, 7, 7, 7, 7, 7, 7],
        "brightness": [10.0, 20.0, 30.0, 40.0, 50.0, 60.0, 70.0, 80.0],
    })  # fmt: skip
    found = trivial_baselines(frames)
    assert found["returns"] == Baseline(Rule(200.0, 0), 1.0, 2 / 3)  # the cube of 150 returns is missed
    assert found["lit"].train == 0.5
    assert found["brightness"] == Baseline(Rule(25.0, 1), 1.0, 2 / 3)
    assert majority_share(frames) == 2 / 3


def test_a_tree_of_depth_one_is_no_substitute():
    values, label = np.arange(9), np.array([0, 0, 0, 1, 0, 0, 1, 0, 1])
    tree = DecisionTreeClassifier(max_depth=1, random_state=0).fit(values[:, None], label)
    assert tree.tree_.threshold[0] == 2.5  # Gini impurity prefers the pure leaf of the first three
    assert tree.score(values[:, None], label) == 6 / 9
    assert accuracy(best_rule(values, label), values, label) == 7 / 9  # sphere above 5.5


def test_the_table_of_baselines():
    baselines = {"returns": Baseline(Rule(207.5, 0), 0.9, 0.91), "lit": Baseline(Rule(np.inf, 0), 0.5, 0.5)}
    lines = [
        [part.strip() for part in line.strip("|").split("|")] for line in baseline_table(baselines, 0.5).splitlines()
    ]
    assert lines[2:] == [
        ["LiDAR returns", "cube above 207.5", "0.9000", "0.9100", "0.5000"],
        ["lit pixels of the RGB", "always sphere", "0.5000", "0.5000", "0.5000"],
    ]


@pytest.mark.parametrize(
    ("rule", "predicted"), [(Rule(-np.inf, 0), 0), (Rule(-np.inf, 1), 1), (Rule(np.inf, 0), 1), (Rule(np.inf, 1), 0)]
)
def test_a_rule_without_a_threshold_names_the_class_it_predicts(rule, predicted):
    assert rule_text(rule) == ("always cube", "always sphere")[predicted]
    assert accuracy(rule, np.array([3.0]), np.array([predicted])) == 1.0

"""Pictures: drawn, the same bytes twice, and with what they are to show."""

import numpy as np
import pandas as pd
import pytest

from pipeline.report.fusion.comparisons import Comparison, Curve, Stress
from pipeline.report.fusion.figures import (
    plot_confusion,
    plot_costs,
    plot_histories,
    plot_learning_curve,
    plot_samples,
    plot_stress,
)
from pipeline.report.style import depth_view, line_styles
from pipeline.report.transfer.figures import plot_labels, plot_pretraining, plot_similarity
from support.pictures import assert_drawn_and_repeated

HISTORY = pd.DataFrame({"epoch": [1, 2], "acc": [0.5, 0.9], "acc_seed0": [0.4, 0.9], "acc_seed1": [0.6, 0.9]})
CELL = {
    "accuracy": 0.9,
    "accuracy_ci95": 0.2,
    "parameters": 290_161,
    "seconds_per_epoch": 1.5,
    "confusion": [[6, 0], [2, 4]],
}
ONE_SEED = CELL | {"accuracy_ci95": None}
SHARED = CELL | {"seconds_per_epoch": None}  # its GPU, so that nothing was measured
NAMES = [f"{fusion}-maxpool" for fusion in "abcdefghijk"]  # as many as there are fusions
DEPTH = np.full((10, 64, 64), 50.0)
DEPTH[:, 20:30, 20:30] = 24.0
CILP = pd.DataFrame({"epoch": [1, 2], "val_top1": [0.1, 0.8], "val_course_loss": [3.1, 3.0]})
CILP = CILP.assign(**{f"{name}_seed0": CILP[name] for name in ("val_top1", "val_course_loss")})
LEVELS = {"chance_top1": 0.01, "course_chance_loss": 3.466, "course_floor_loss": 2.97, "pass_loss": 3.5}
NET = pd.DataFrame({"labels": [10, 100], "accuracy": [0.6, 0.9], "ci_half_width": [0.5, 0.05]})
GRADED = {name: [(0.1, CELL), (0.5, ONE_SEED)] for name in NAMES}
SINGLE = {name: [(None, CELL)] for name in NAMES}
STRESS = Stress({"clean": SINGLE, "rgb_dark": GRADED, "rgb_missing": SINGLE}, {}, {}, {}, NAMES[0], 20, 0.5)
CURVE = Curve({25: dict.fromkeys(NAMES, CELL), 700: {NAMES[0]: ONE_SEED}}, {}, NAMES[0], 0.5)

DRAW = {
    "pretraining": lambda path: plot_pretraining(CILP, LEVELS, path),
    "labels": lambda path: plot_labels({"scratch": NET, "probe": NET}, 0.95, 0.5, path),
    "similarity": lambda path: plot_similarity(np.eye(4), path),
    "curves": lambda path: plot_histories({"maxpool": {"concat": HISTORY}}, "acc", "accuracy", path),
    "costs": lambda path: plot_costs(Comparison(dict.fromkeys(NAMES, CELL), NAMES[0], {}), path),
    "one cell's costs": lambda path: plot_costs(Comparison({NAMES[0]: ONE_SEED}, NAMES[0], {}), path),
    "costs without a time": lambda path: plot_costs(Comparison({"a": CELL, "b": SHARED}, "a", {}), path),
    "confusion": lambda path: plot_confusion(dict.fromkeys(NAMES, CELL), ["cube", "sphere"], path),
    "one confusion": lambda path: plot_confusion({NAMES[0]: CELL}, ["cube", "sphere"], path),
    "curve": lambda path: plot_learning_curve(CURVE, path),
    "stress": lambda path: plot_stress(STRESS, NAMES, path),
    "samples": lambda path: plot_samples(
        np.zeros((10, 64, 64, 4), np.uint8), DEPTH, ["cube 0.90"] * 10, [True] * 9 + [False], path
    ),
}


@pytest.mark.parametrize("name", DRAW)
def test_a_picture_is_drawn_and_repeats(name, tmp_path):
    assert_drawn_and_repeated(DRAW[name], tmp_path)


def test_no_two_fusions_share_a_style():
    styles = line_styles(NAMES)
    assert len({tuple(style.values()) for style in styles.values()}) == len(NAMES) == 11


def test_a_mistake_is_red():
    blank = np.zeros((1, 64, 64, 4), np.uint8)
    with pytest.MonkeyPatch.context() as patch:
        drawn = {}
        patch.setattr("pipeline.report.fusion.figures.save", lambda figure, right: drawn.setdefault(right, figure))
        for right in (True, False):
            plot_samples(blank, DEPTH[:1], ["cube 0.90"], [right], right)
    colours = {right: figure.axes[0].title.get_color() for right, figure in drawn.items()}
    assert colours == {True: "black", False: "#b00020"}


def test_a_view_lies_as_rgb_does():
    frame = np.array([[1.0, 2.0], [50.0, 4.0]])  # rows right to left, columns top to bottom
    assert np.array_equal(depth_view(frame), [[np.nan, 1.0], [4.0, 2.0]], equal_nan=True)

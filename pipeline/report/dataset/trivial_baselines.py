"""Trivial baselines: the class from one number of a frame and one threshold, which a net must beat to know a shape."""

from typing import NamedTuple

import numpy as np
import pandas as pd

from pipeline.core.sensors import CLASSES

MEASURES = ("returns", "lit", "brightness")  # columns of frames.tsv that a threshold may go by


class Rule(NamedTuple):
    """A decision stump: `above` is predicted above the threshold, the other class at or below it."""

    threshold: float  # infinite, of either sign, for a rule that always predicts one class
    above: int  # 0 cube, 1 sphere


class Baseline(NamedTuple):
    """A rule fitted on the training split, with its accuracy there and on the test split, each 0 to 1."""

    rule: Rule
    train: float
    test: float


def best_rule(values: np.ndarray, label: np.ndarray) -> Rule:
    """Fit the rule of the highest accuracy to (N,) finite values and (N,) labels 0 or 1.

    Thresholds lie midway between neighbouring values. Of equally good thresholds the lowest is chosen, and of equally
    good directions the one with cube above. scikit-learn's DecisionTreeClassifier(max_depth=1) is no substitute: its
    criteria are Gini impurity and entropy, whose best split can have a lower accuracy.
    """
    levels, place = np.unique(values, return_inverse=True)
    counts = np.bincount(2 * place.ravel() + label.astype(int), minlength=2 * len(levels)).reshape(-1, 2)
    below = np.concatenate([[[0, 0]], counts.cumsum(axis=0)])  # (levels + 1, 2) cubes and spheres up to a threshold
    sphere_above = below[:, 0] + below[-1, 1] - below[:, 1]  # correct answers with sphere above
    correct = np.stack([len(values) - sphere_above, sphere_above])  # (2, levels + 1)
    above, cut = np.unravel_index(correct.argmax(), correct.shape)
    middles = (levels[1:] + levels[:-1]) / 2
    return Rule(float(np.concatenate([[-np.inf], middles, [np.inf]])[cut]), int(above))


def accuracy(rule: Rule, values: np.ndarray, label: np.ndarray) -> float:
    """Compute the share of (N,) labels that the rule predicts from (N,) values."""
    predicted = np.where(values > rule.threshold, rule.above, 1 - rule.above)
    return float((predicted == label).mean())


def trivial_baselines(frames: pd.DataFrame) -> dict[str, Baseline]:
    """Fit the best rule of every measure on the training split; `frames` has the columns of frames.tsv."""
    split, label = frames["split"].to_numpy(), (frames["class"] == CLASSES[1]).to_numpy().astype(int)
    train, test = split == "train", split == "test"
    baselines = {}
    for name in MEASURES:
        values = frames[name].to_numpy()
        rule = best_rule(values[train], label[train])
        on_train, on_test = (accuracy(rule, values[rows], label[rows]) for rows in (train, test))
        baselines[name] = Baseline(rule, on_train, on_test)
    return baselines


def majority_share(frames: pd.DataFrame) -> float:
    """Compute the share of the more frequent class of the test split: the chance level of accuracies."""
    return float(frames.loc[frames["split"] == "test", "class"].value_counts(normalize=True).max())

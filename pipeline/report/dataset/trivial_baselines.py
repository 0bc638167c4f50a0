"""What one number of a frame and one threshold tell of the class: what a net must beat to have seen a shape."""

from typing import NamedTuple

import numpy as np
import pandas as pd

from pipeline.core.sensors import CLASSES

MEASURES = ("returns", "lit", "brightness")  # columns of frames.tsv that a single threshold may go by


class Rule(NamedTuple):
    """A threshold and what is said above it; at or below it the other class is said."""

    threshold: float  # infinite, either way, for a rule that always says the same
    above: int  # 0 cube, 1 sphere


class Shortcut(NamedTuple):
    """A rule found on the training split, and what it is worth there and on the test split."""

    rule: Rule
    train: float  # accuracy, 0 to 1
    test: float


def best_rule(values: np.ndarray, label: np.ndarray) -> Rule:
    """(N,) finite values, (N,) labels 0 or 1 -> the threshold and direction of the most right answers.

    Thresholds lie midway between neighbouring values. Of equally good ones the lowest is taken, and of both directions
    the one that says cube above.
    """
    levels, place = np.unique(values, return_inverse=True)
    counts = np.bincount(2 * place.ravel() + label.astype(int), minlength=2 * len(levels)).reshape(-1, 2)
    below = np.concatenate([[[0, 0]], counts.cumsum(axis=0)])  # (levels + 1, 2) cubes and spheres up to a threshold
    spheres_above = below[:, 0] + below[-1, 1] - below[:, 1]  # right answers of the rule that says sphere above
    right = np.stack([len(values) - spheres_above, spheres_above])  # (2, levels + 1)
    above, cut = np.unravel_index(right.argmax(), right.shape)
    middles = (levels[1:] + levels[:-1]) / 2
    return Rule(float(np.concatenate([[-np.inf], middles, [np.inf]])[cut]), int(above))


def accuracy(rule: Rule, values: np.ndarray, label: np.ndarray) -> float:
    """Share of (N,) labels that the rule names rightly."""
    said = np.where(values > rule.threshold, rule.above, 1 - rule.above)
    return float((said == label).mean())


def shortcuts(frames: pd.DataFrame) -> dict[str, Shortcut]:
    """Measure -> its best rule on the training split; `frames` has the columns of frames.tsv."""
    split, label = frames["split"].to_numpy(), (frames["class"] == CLASSES[1]).to_numpy().astype(int)
    train, test = split == "train", split == "test"
    found = {}
    for name in MEASURES:
        values = frames[name].to_numpy()
        rule = best_rule(values[train], label[train])
        found[name] = Shortcut(
            rule, accuracy(rule, values[train], label[train]), accuracy(rule, values[test], label[test])
        )
    return found


def chance(frames: pd.DataFrame) -> float:
    """The share of the more frequent class of the test split."""
    return float(frames.loc[frames["split"] == "test", "class"].value_counts(normalize=True).max())

"""The course's assessment of a chain, by its own marks, so that its points can be held against honest figures.

A contrastive loss under 3.5 gives five points, each of five batches of 32 with an accuracy above 0.95 gives one, and
nine points pass. 3.5 lies above chance, ln 32 = 3.466: an untrained net has those five points.
"""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from torch import Tensor

MAX_LOSS = 3.5
LOSS_POINTS = 5
MIN_ACCURACY = 0.95
BATCHES = 5
BATCH = 32
PASS = 9  # points of ten
MARKS = {"pass_loss": MAX_LOSS, "loss_points": LOSS_POINTS, "min_accuracy": MIN_ACCURACY, "pass_points": PASS}


class Assessment(NamedTuple):
    """One chain of one seed."""

    loss: float
    accuracies: list[float]
    points: int


def assess(loss: float, logits: Tensor, label: Tensor) -> Assessment:
    """Marks for the course's loss and for the first five batches of (N,) logits, or fifths of fewer than 160.

    Give cubes and spheres in turn: the course's own order starts with all cubes, where "always cube" is perfect.
    """
    right = ((logits > 0) == label.cpu().bool()).double()[: BATCHES * BATCH]
    accuracies = [float(part.mean()) for part in right.tensor_split(BATCHES)]
    passed = sum(accuracy > MIN_ACCURACY for accuracy in accuracies)
    return Assessment(loss, accuracies, LOSS_POINTS * (loss < MAX_LOSS) + passed)


def summarize_assessments(chains: Mapping[str, Sequence[Assessment]]) -> dict[str, dict]:
    """Name -> seeds of a chain, as JSON: mean loss, batches above the mark and points of every seed, who passes."""
    return {
        name: {
            "loss": round(sum(each.loss for each in seeds) / len(seeds), 6),
            "batches_above": [sum(accuracy > MIN_ACCURACY for accuracy in each.accuracies) for each in seeds],
            "points": [each.points for each in seeds],
            "passed": sum(each.points >= PASS for each in seeds),
        }
        for name, seeds in chains.items()
    }

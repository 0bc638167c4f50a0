"""The course's assessment of a chain by its own marks, to be read beside honest metrics.

A contrastive loss under 3.5 gives five points, each of five batches of 32 with an accuracy above 0.95 gives one, and
nine points pass. 3.5 lies above chance, ln 32 = 3.466: an untrained net has those five points.
"""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from torch import Tensor

from pipeline.transfer.scores import COURSE_BATCH_SIZE

MAX_LOSS = 3.5
LOSS_POINTS = 5
MIN_ACCURACY = 0.95
NUM_BATCHES = 5
PASS_POINTS = 9  # of ten
MARKS = {"pass_loss": MAX_LOSS, "loss_points": LOSS_POINTS, "min_accuracy": MIN_ACCURACY, "pass_points": PASS_POINTS}


class Assessment(NamedTuple):
    """The course's marks for one chain of one seed."""

    loss: float
    accuracies: list[float]  # of each batch
    points: int


def assess(loss: float, logits: Tensor, label: Tensor) -> Assessment:
    """Mark a contrastive loss and the first five batches of (N,) logits, or fifths of fewer than 160.

    Cubes and spheres must alternate: the course's own order starts with all cubes, where "always cube" is perfect.
    """
    correct = ((logits > 0) == label.cpu().bool()).double()[: NUM_BATCHES * COURSE_BATCH_SIZE]
    accuracies = [float(batch.mean()) for batch in correct.tensor_split(NUM_BATCHES)]
    passed = sum(accuracy > MIN_ACCURACY for accuracy in accuracies)
    return Assessment(loss, accuracies, LOSS_POINTS * (loss < MAX_LOSS) + passed)


def summarize_assessments(chains: Mapping[str, Sequence[Assessment]]) -> dict[str, dict]:
    """Return per chain, as JSON: the mean loss over seeds, batches above the mark, points, and how many seeds pass."""
    return {
        name: {
            "loss": round(sum(each.loss for each in seeds) / len(seeds), 6),
            "batches_above": [sum(accuracy > MIN_ACCURACY for accuracy in each.accuracies) for each in seeds],
            "points": [each.points for each in seeds],
            "passed": sum(each.points >= PASS_POINTS for each in seeds),
        }
        for name, seeds in chains.items()
    }

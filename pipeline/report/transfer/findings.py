"""The findings of the transfer chain: RGB alone in LiDAR's space, few labels, the course's mark."""

from collections.abc import Mapping
from math import log
from typing import Any

from pipeline.report.findings import Finding, are_apart, is_above
from pipeline.report.text import Metrics
from pipeline.report.transfer.nets import FULL, NETS, PRETRAINED, PROJECTOR_ONLY

# the course's marks, as evaluation/assessment.py has them
PASS_LOSS = 3.5
LOSS_POINTS = 5
MIN_ACCURACY = 0.95
PASS_POINTS = 9
NUM_BATCHES = 5  # of BATCH_SIZE pairs
BATCH_SIZE = 32
MARKS = {"pass_loss": PASS_LOSS, "loss_points": LOSS_POINTS, "min_accuracy": MIN_ACCURACY, "pass_points": PASS_POINTS}
MAX_POINTS = LOSS_POINTS + NUM_BATCHES
SCHEME = MARKS | {
    "num_batches": NUM_BATCHES,
    "batch_size": BATCH_SIZE,
    "max_points": MAX_POINTS,
    "chance_loss": log(BATCH_SIZE),
}  # the marks as the text explains them


def rgb_alone(evaluated: Mapping[str, Any], chance: float) -> Finding:
    """Find out how well CILP retrieves and what RGB alone then classifies, zero-shot and tuned."""
    trained = evaluated["trained"]
    cilp, classifier = trained["cilp"], trained[f"classify/{PROJECTOR_ONLY}"]
    zero_shot = {key: classifier.get(f"zero_shot_{key}") for key in ("accuracy", "accuracy_ci95")}
    retrieves = is_above(cilp, "top1", cilp["chance_top1"])
    classifies = is_above(zero_shot, "accuracy", chance)
    values = {
        "cilp": cilp,
        "retrieves": retrieves,
        "zero_shot": zero_shot,
        "classifies": classifies,
        "tuned": [
            {
                "name": NETS[name],
                "metrics": trained[f"classify/{name}"],
                "gap": trained[f"classify/{name}"]["accuracy"] - zero_shot["accuracy"],
                "apart": are_apart(trained[f"classify/{name}"], zero_shot),
            }
            for name in (PROJECTOR_ONLY, FULL)
        ],
        "one_seed": zero_shot["accuracy_ci95"] is None,
        "chance": chance,
    }
    outcome = "transfers" if classifies else "retrieves" if retrieves else "chance"
    return Finding("rgb_alone", "cilp", outcome, values)


def few_labels(labels: Mapping[str, Any]) -> Finding:
    """Find out whether pretraining pays with the fewest labels, and from how many on the two are not
    distinguishable.

    At each number of labels the net from scratch stands beside the most accurate pretrained net. It is behind where
    its interval lies wholly below the other.
    """
    counts = sorted(labels["scratch"], key=int)
    rivals = {count: max(PRETRAINED, key=lambda name: labels[name][count]["accuracy"]) for count in counts}
    behind = [count for count in counts if _lead(labels, count, rivals[count]) < 0]
    fewest = counts[0]
    scratch, rival = labels["scratch"][fewest], labels[rivals[fewest]][fewest]
    best = max(scratch, rival, key=lambda metrics: metrics["accuracy"])
    if not is_above(best, "accuracy", labels["chance"]):
        outcome = "chance"
    elif scratch.get("accuracy_ci95") is None:
        outcome = "untested"
    else:
        outcome = "pays" if fewest in behind else "ahead" if _lead(labels, fewest, rivals[fewest]) > 0 else "level"
    overlap_from = counts[counts.index(behind[-1]) + 1] if behind and behind[-1] != counts[-1] else None
    values = {
        "fewest": int(fewest),
        "most": int(counts[-1]),
        "scratch": scratch,
        "rival": NETS[rivals[fewest]],
        "rival_metrics": rival,
        "overlap_from": None if overlap_from is None else int(overlap_from),
        "behind": [int(count) for count in behind],
        "chance": labels["chance"],
    }
    return Finding("few_labels", "few-labels", outcome, values)


def _lead(labels: Mapping[str, Any], count: str, rival: str) -> float:
    """Return the lead of scratch over a pretrained net in accuracy; 0 where the intervals overlap or are absent."""
    scratch, pretrained = labels["scratch"][count], labels[rival][count]
    return scratch["accuracy"] - pretrained["accuracy"] if are_apart(scratch, pretrained) else 0.0


def course_mark(evaluated: Mapping[str, Any]) -> Finding:
    """Find out whether untrained nets pass the course's mark for the contrastive loss."""
    untrained: Metrics = evaluated["untrained"]["cilp"]
    values = {
        "loss": untrained["course_loss"],
        "trained_loss": evaluated["trained"]["cilp"],
        "chance_loss": untrained["course_chance_loss"],
        "points": evaluated["assessment"]["untrained"]["points"],
        "max_points": MAX_POINTS,
        "pass_loss": PASS_LOSS,
    }
    return Finding("course_mark", "the-courses-marks", "empty" if values["loss"] < PASS_LOSS else "selective", values)

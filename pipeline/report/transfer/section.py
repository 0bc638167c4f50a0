"""The report's sections on the transfer chain: its figures, tables and findings."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pipeline.core.files import read_npy, read_tsv
from pipeline.core.runs import RUNS
from pipeline.report.text import with_interval
from pipeline.report.transfer.figures import plot_labels, plot_pretraining, plot_similarity
from pipeline.report.transfer.findings import MARKS, SCHEME, course_mark, few_labels, rgb_alone
from pipeline.report.transfer.nets import PROJECTOR_ONLY
from pipeline.report.transfer.tables import assessment_table, chain_table, highest_train_loss, label_curves, label_table


def transfer_section(
    evaluated: Mapping[str, Any], labels: Mapping[str, Any], chance: float, pictures: Path
) -> dict[str, Any]:
    """Draw the figures of the chain into `pictures` and return its tables, the values of its text and its findings."""
    cilp, classifier = evaluated["trained"]["cilp"], evaluated["trained"][f"classify/{PROJECTOR_ONLY}"]
    levels = {name: cilp[name] for name in ("chance_top1", "course_chance_loss", "course_floor_loss")}
    plot_pretraining(read_tsv(RUNS / "cilp" / "history.tsv"), levels | MARKS, pictures / "cilp.png")
    plot_similarity(read_npy(RUNS / "cilp" / "similarity.npy"), pictures / "similarity.png")
    zero_shot = classifier["zero_shot_accuracy"]
    plot_labels(label_curves(labels), zero_shot, labels["chance"], pictures / "labels.png")
    return {
        "findings": (rgb_alone(evaluated, chance), few_labels(labels), course_mark(evaluated)),
        "table": chain_table(evaluated, chance),
        "assessment_table": assessment_table(evaluated),
        "label_table": label_table(labels),
        "train_loss": highest_train_loss(labels),
        "zero_shot": with_interval(classifier, "zero_shot_accuracy", 3),
        "marks": SCHEME,
    }

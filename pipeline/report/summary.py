"""The headline figures of a run: flat and few, so that `dvc metrics show` fits a terminal."""

from collections.abc import Mapping
from typing import Any

from pipeline.report.text import Metrics
from pipeline.report.transfer.nets import FULL, PROJECTOR_ONLY

DIGITS = 4


def summary(leader: str, metrics: Metrics, evaluated: Mapping[str, Any]) -> dict[str, str | float]:
    """Return the figures of the leading cell and of the transfer chain: means over seeds on the test split.

    `metrics` are those of the leader, which the report chooses among the cells with the base downsampling.
    `chance` is that of every accuracy; the chance of the retrieval, `top1`, is 1 in the number of test pairs.
    """
    trained = evaluated["trained"]
    figures = {
        "accuracy": metrics["accuracy"],
        "chance": metrics["chance"],
        "top1": trained["cilp"]["top1"],
        "zero_shot": trained[f"classify/{PROJECTOR_ONLY}"]["zero_shot_accuracy"],
        "tuned": trained[f"classify/{FULL}"]["accuracy"],
    }
    return {"leader": leader, "val_loss": metrics["val_loss"]} | {
        name: round(value, DIGITS) for name, value in figures.items()
    }

"""The headline figures of a run: flat and few, so that `dvc metrics show` fits a terminal."""

from collections.abc import Mapping
from typing import Any

from pipeline.report.cells import Metrics, best_cell
from pipeline.report.transfer.nets import FULL, PROJECTOR_ONLY

DIGITS = 4


def summary(cells: Mapping[str, Metrics], evaluated: Mapping[str, Any]) -> dict[str, str | float]:
    """Return the leader by validation loss and the transfer chain: means over seeds on the test split.

    `chance` is that of every accuracy; the chance of the retrieval, `top1`, is 1 in the number of test pairs.
    """
    trained, leader = evaluated["trained"], best_cell(cells)
    figures = {
        "accuracy": cells[leader]["accuracy"],
        "chance": cells[leader]["chance"],
        "top1": trained["cilp"]["top1"],
        "zero_shot": trained[f"classify/{PROJECTOR_ONLY}"]["zero_shot_accuracy"],
        "tuned": trained[f"classify/{FULL}"]["accuracy"],
    }
    return {"leader": leader, "val_loss": cells[leader]["val_loss"]} | {
        name: round(value, DIGITS) for name, value in figures.items()
    }

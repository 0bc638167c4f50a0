"""Model cards: what each net that is fit for use is, what it was measured to do, and where that ends."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from pipeline.core.sensors import CLASSES
from pipeline.report.significance import wilson_interval
from pipeline.report.text import Metrics, with_interval

CARD = """## {title}

`{file}`

| | |
|---|---|
| task | cube or sphere; a logit above 0 means sphere |
| sees | {sees} |
| parameters | {parameters:,} |
| trained on | {source} |
| test accuracy of this file | {right} of {test} pairs, {accuracy:.4f}; over test pairs {low:.4f} to {high:.4f} |
| test accuracy, mean of seeds ({seeds}) | {mean} |
| chance | {chance:.4f} |

"""

LIMITS = """## Limits of all of them

- They know one object a frame, a cube or a sphere, and answer one of the two whatever they are shown.
- Objects of the data gave {returns_min} to {returns_max} LiDAR returns a frame, {depth_min} to {depth_max} units away.
  Nearer, farther, larger or partly hidden ones were never seen.
- The fusion net was measured under noise, dropouts, darkness and with a sensor gone (Stress in [report.md](report.md)),
  the others were not, and none under other backgrounds or another sensor's angles.
- The test split comes from the same source as the training split. The intervals are of 95%: over test pairs by Wilson's
  formula, over seeds (±) by Student's t. They say nothing of another place or day.
- The probability that `predict` prints is the net's own, not calibrated against anything.
- The first seed is the one shipped: chosen by none of its figures, so that they are not flattered.

Use: `python -m pipeline predict --checkpoint FILE PATHS...`, or `python -m pipeline export --checkpoint FILE --out
model.onnx` for other runtimes. The data is the one whose hash `data.dvc` holds.
"""


def card(title: str, sees: str, file: Path, metrics: Metrics, seeds: Sequence[float], data: Metrics) -> str:
    """One net: `seeds` are the accuracies of all seeds, `file` is that of the first."""
    test = sum(data["test"].values())
    right = round(seeds[0] * test)
    low, high = wilson_interval(right, test)
    return CARD.format(
        title=title,
        sees=sees,
        source=_source(metrics, data),
        file=file,
        parameters=metrics["parameters"],
        test=test,
        right=right,
        accuracy=seeds[0],
        low=low,
        high=high,
        seeds=len(seeds),
        mean=with_interval(metrics, "accuracy"),
        chance=metrics["chance"],
    )


def _source(metrics: Metrics, data: Metrics) -> str:
    """Where the weights come from; figures of weights trained elsewhere may be flattered."""
    train, val = (sum(data[split].values()) for split in ("train", "val"))
    here = f"{train:,} pairs of the training split; the epoch was chosen on {val:,} others"
    if "weights_sha256" not in metrics:
        return here
    given = (
        f"LiDAR weights with SHA-256 {metrics['weights_sha256']}, trained elsewhere, perhaps on these very test pairs"
    )
    return f"{here}; {given}" if metrics["epochs"] else given


def limits(data: Mapping[str, Any]) -> str:
    """What no figure covers, with the range of the objects that were seen."""
    classes = [data[kind] for kind in CLASSES]
    ends = {"returns_min": min, "depth_min": min, "returns_max": max, "depth_max": max}
    return LIMITS.format(**{name: pick(each[name] for each in classes) for name, pick in ends.items()})

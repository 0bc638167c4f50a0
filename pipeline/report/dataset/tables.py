"""The data's tables, in Markdown: what there is of either class, and what one number of a frame tells of the class."""

from collections.abc import Mapping
from math import isinf

from pipeline.core.sensors import CLASS_NAMES, CLASSES
from pipeline.data.splits import SPLITS
from pipeline.report.dataset.trivial_baselines import Rule, Shortcut
from pipeline.report.text import Metrics, markdown

USES = dict(zip(SPLITS, ("to train on", "to choose the epoch by", "to report on"), strict=True))
FILES = {"rgb_files": "RGB files found", "lidar_files": "LiDAR files found", "pairs_found": "pairs found"}
TITLES = {"returns": "LiDAR returns", "lit": "lit pixels of the RGB", "brightness": "brightness of the RGB"}


def contents(data: Metrics) -> str:
    """A column a class: files, pairs by split, and what the frames that are used measure."""
    rows = [_counts(title, {name: data[name][key] for name in CLASSES}) for key, title in FILES.items()]
    rows.append(_counts("pairs used", {name: sum(data[split][name] for split in SPLITS) for name in CLASSES}))
    rows += [_counts(f"{split}: pairs {use}", data[split]) for split, use in USES.items()]
    for title, key, form in (
        ("returns of a frame: least / mean / most", "returns", "{:,.4g}"),
        ("range of a return: nearest / mean / farthest", "depth", "{:.2f}"),
    ):
        ends = {name: [data[name][f"{key}_{end}"] for end in ("min", "mean", "max")] for name in CLASSES}
        rows.append(_row(title, {name: " / ".join(map(form.format, told)) for name, told in ends.items()}))
    for title, key in (("lit pixels of a picture, mean", "lit_mean"), ("their brightness, mean", "brightness_mean")):
        rows.append(_row(title, {name: f"{data[name][key]:.1f}" for name in CLASSES}))
    return markdown(rows)


def _counts(title: str, counts: Mapping[str, int]) -> dict[str, str]:
    return _row(title, {name: f"{counts[name]:,}" for name in CLASSES}, f"{sum(counts[name] for name in CLASSES):,}")


def _row(title: str, told: Mapping[str, str], both: str = "") -> dict[str, str]:
    return {"": title} | told | {"both": both}


def shortcuts(found: Mapping[str, Shortcut], chance: float) -> str:
    """A row a number of a frame: the rule, and its accuracy beside chance."""
    rows = [
        {
            "one number of a frame": TITLES[name],
            "rule": _rule(shortcut.rule),
            "training split": f"{shortcut.train:.4f}",
            "test split": f"{shortcut.test:.4f}",
            "chance": f"{chance:.4f}",
        }
        for name, shortcut in found.items()
    ]
    return markdown(rows)


def _rule(rule: Rule) -> str:
    if isinf(rule.threshold):
        return f"always {CLASS_NAMES[rule.above if rule.threshold < 0 else 1 - rule.above]}"
    return f"{CLASS_NAMES[rule.above]} above {rule.threshold:,.1f}"

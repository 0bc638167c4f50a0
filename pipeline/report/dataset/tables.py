"""The tables of the data, in Markdown: counts by class, and the trivial baselines."""

from collections.abc import Mapping
from math import isinf

from pipeline.core.sensors import CLASS_NAMES, CLASSES
from pipeline.data.splits import SPLITS
from pipeline.report.dataset.trivial_baselines import Baseline, Rule
from pipeline.report.text import Metrics, markdown

USES = dict(zip(SPLITS, ("to train on", "to choose the epoch by", "to report on"), strict=True))
FILES = {"rgb_files": "RGB files", "lidar_files": "LiDAR files", "pairs_found": "pairs in the folder"}
MEASURES = {"returns": "LiDAR returns", "lit": "lit pixels of the RGB", "brightness": "brightness of the RGB"}


def contents_table(data: Metrics) -> str:
    """Format a column a class: files, pairs by split, and the frame statistics."""
    rows = [_count_row(title, {name: data[name][key] for name in CLASSES}) for key, title in FILES.items()]
    rows.append(
        _count_row("pairs in the splits", {name: sum(data[split][name] for split in SPLITS) for name in CLASSES})
    )
    rows += [_count_row(f"{split}: pairs {use}", data[split]) for split, use in USES.items()]
    for title, key, form in (
        ("returns of a frame: least / mean / most", "returns", "{:,.4g}"),
        ("range of a return: nearest / mean / farthest", "depth", "{:.2f}"),
    ):
        ends = {name: [data[name][f"{key}_{end}"] for end in ("min", "mean", "max")] for name in CLASSES}
        rows.append(_row(title, {name: " / ".join(map(form.format, values)) for name, values in ends.items()}))
    for title, key in (("lit pixels of a picture, mean", "lit_mean"), ("their brightness, mean", "brightness_mean")):
        rows.append(_row(title, {name: f"{data[name][key]:.1f}" for name in CLASSES}))
    return markdown(rows)


def _count_row(title: str, counts: Mapping[str, int]) -> dict[str, str]:
    return _row(title, {name: f"{counts[name]:,}" for name in CLASSES}, f"{sum(counts[name] for name in CLASSES):,}")


def _row(title: str, values: Mapping[str, str], both: str = "") -> dict[str, str]:
    return {"": title, **values, "both": both}


def baseline_table(baselines: Mapping[str, Baseline], chance: float) -> str:
    """Format a row a measure: the rule, and its accuracy beside chance."""
    rows = [
        {
            "one number of a frame": MEASURES[name],
            "rule": rule_text(baseline.rule),
            "training split": f"{baseline.train:.4f}",
            "test split": f"{baseline.test:.4f}",
            "chance": f"{chance:.4f}",
        }
        for name, baseline in baselines.items()
    ]
    return markdown(rows)


def rule_text(rule: Rule) -> str:
    """Format a rule as the class above its threshold, or as the one class it always predicts."""
    if isinf(rule.threshold):
        return f"always {CLASS_NAMES[rule.above if rule.threshold < 0 else 1 - rule.above]}"
    return f"{CLASS_NAMES[rule.above]} above {rule.threshold:,.1f}"

"""What a run has found, for the terminal: the headline figures beside chance, and where the report lies."""

from typing import Any

from pipeline.core.files import read_json
from pipeline.core.runs import RUNS
from pipeline.report.cells import best_cell, read_metrics
from pipeline.report.text import markdown, with_interval
from pipeline.report.transfer.nets import FULL, PROJECTOR_ONLY

REPORT = RUNS / "report"


def summary_table() -> str:
    """Of the workspace's run; raises PipelineError that names what is missing."""
    summary, evaluated = read_json(REPORT / "summary.json"), read_json(RUNS / "evaluate" / "metrics.json")
    cells = [name.removeprefix("fusion/") for name in evaluated["trained"] if name.startswith("fusion/")]
    rows = _fusion(read_metrics(cells)) + _chain(evaluated["trained"], summary["chance"])
    seeds = len(next(iter(evaluated["accuracies"].values())))
    spread = f"the mean of {seeds} seeds ± the half-width of its 95% interval" if seeds > 1 else "of one seed"
    return f"{markdown(rows)}\nTest split, {spread}. The report: {REPORT / 'report.html'}"


def _fusion(figures: dict[str, dict[str, Any]]) -> list[dict[str, str]]:
    """The leader of each downsampling, by validation loss, and the sensors alone."""
    by_downsample: dict[str, dict[str, dict]] = {}
    for name, metrics in figures.items():
        by_downsample.setdefault(name.split("-")[1], {})[name] = metrics
    leaders = {best_cell(group): f"best of {len(group)} with {word}" for word, group in by_downsample.items()}
    alone = {name: "one sensor" for name in figures if name.split("-")[0] in ("rgb", "lidar")}
    return [
        _row(f"{name} ({why})", figures[name], "accuracy", f"{figures[name]['chance']:.4f}")
        for name, why in (alone | leaders).items()
    ]


def _chain(trained: dict[str, dict[str, Any]], chance: float) -> list[dict[str, str]]:
    told = f"{chance:.4f}"
    cilp, projector = trained["cilp"], trained[f"classify/{PROJECTOR_ONLY}"]
    return [
        _row("LiDAR classifier", trained["lidar"], "accuracy", told),
        _row("CILP, RGB to LiDAR, top-1", cilp, "top1", f"{cilp['chance_top1']:.4f}"),
        _row("CILP, RGB to LiDAR, top-5", cilp, "top5", f"{cilp['chance_top5']:.4f}"),
        _row("projector, R2", trained["project"], "r2", "0.0000"),
        _row("RGB in LiDAR space, zero-shot", projector, "zero_shot_accuracy", told),
        _row("RGB in LiDAR space, projector tuned", projector, "accuracy", told),
        _row("RGB in LiDAR space, fully tuned", trained[f"classify/{FULL}"], "accuracy", told),
    ]


def _row(name: str, metrics: dict[str, Any], figure: str, chance: str) -> dict[str, str]:
    return {"net": name, "test": with_interval(metrics, figure), "chance": chance}

"""The headline results of the last run as a table for the terminal, beside chance."""

from collections.abc import Sequence
from typing import Any, NamedTuple

from pipeline.core.errors import PipelineError
from pipeline.core.files import read_json
from pipeline.core.runs import RUNS
from pipeline.report.cells import best_cell, downsample_name, fusion_name, read_metrics
from pipeline.report.text import markdown, with_interval
from pipeline.report.transfer.nets import FULL, PROJECTOR_ONLY

PAGE = RUNS / "report" / "report.html"
EVALUATION = RUNS / "evaluate" / "metrics.json"
Metrics = dict[str, Any]


class Results(NamedTuple):
    """The metrics of the last run that the table shows."""

    cells: dict[str, Metrics]  # cell -> its metrics, in the order of the matrix
    transfer: dict[str, Metrics]  # lidar, cilp, project, classify/projector_only, classify/full
    chance: float  # accuracy of the most frequent class
    seeds: int  # of the transfer


def summary_table(cells: Sequence[str], cell_seeds: int) -> str:
    """Return the table and the path of the report; raises PipelineError that names what the run still lacks.

    `cells` are the names of the matrix, in its order, each trained over `cell_seeds` seeds.
    """
    results = _read_results(cells)
    rows = _fusion_rows(results.cells) + _transfer_rows(results.transfer, results.chance)
    return f"{markdown(rows)}\nTest split, {_spread(results.seeds, cell_seeds)}. The report: {PAGE}"


def _spread(seeds: int, cell_seeds: int) -> str:
    """Return over how many seeds the figures are means."""
    if seeds == cell_seeds == 1:
        return "of one seed"
    numbers = f"{seeds}" if seeds == cell_seeds else f"{cell_seeds} (cells) or {seeds}"
    return f"the mean of {numbers} seeds ± the half-width of its 95% interval"


def _read_results(names: Sequence[str]) -> Results:
    if not PAGE.exists():
        raise PipelineError(f"{PAGE}: not found; run `dvc repro` to make it")
    evaluation = read_json(EVALUATION)
    cells = read_metrics(names)
    seeds = len(next(iter(evaluation["accuracies"].values())))
    return Results(cells, evaluation["trained"], next(iter(cells.values()))["chance"], seeds)


def _fusion_rows(cells: dict[str, Metrics]) -> list[dict[str, str]]:
    """Return the single sensors, then the best cell of each downsampling by validation loss."""
    by_downsample: dict[str, dict[str, Metrics]] = {}
    for name, metrics in cells.items():
        by_downsample.setdefault(downsample_name(name), {})[name] = metrics
    labels = {name: "one sensor" for name in cells if fusion_name(name) in ("rgb", "lidar")}
    labels |= {best_cell(group): f"best of {len(group)} with {name}" for name, group in by_downsample.items()}
    return [_row(f"{name} ({label})", cells[name], "accuracy", cells[name]["chance"]) for name, label in labels.items()]


def _transfer_rows(transfer: dict[str, Metrics], chance: float) -> list[dict[str, str]]:
    cilp, projector = transfer["cilp"], transfer[f"classify/{PROJECTOR_ONLY}"]
    return [
        _row("LiDAR classifier", transfer["lidar"], "accuracy", chance),
        _row("CILP, RGB to LiDAR, top-1", cilp, "top1", cilp["chance_top1"]),
        _row("CILP, RGB to LiDAR, top-5", cilp, "top5", cilp["chance_top5"]),
        _row("projector, R2", transfer["project"], "r2", 0.0),
        _row("RGB in LiDAR space, zero-shot", projector, "zero_shot_accuracy", chance),
        _row("RGB in LiDAR space, projector tuned", projector, "accuracy", chance),
        _row("RGB in LiDAR space, fully tuned", transfer[f"classify/{FULL}"], "accuracy", chance),
    ]


def _row(name: str, metrics: Metrics, metric: str, chance: float) -> dict[str, str]:
    return {"net": name, "test": with_interval(metrics, metric), "chance": f"{chance:.4f}"}

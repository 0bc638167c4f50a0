"""The tables of the fusion study, in Markdown: metrics, costs and verdicts."""

from collections.abc import Sequence
from math import log

from pipeline.report.cells import Metrics, downsample_name
from pipeline.report.fusion.comparisons import Ablation, Comparison, Curve, Stress
from pipeline.report.significance import LEVELLED, Verdict
from pipeline.report.text import markdown, precision_note, signed, with_interval

COSTS = {"parameters": "parameters", "seconds_per_epoch": "s/epoch", "peak_memory_mb": "peak MB", "epochs": "epochs"}
SCORES = {
    "accuracy": "test accuracy",
    "val_loss": "val loss",
    "loss": "test loss",
    "f1": "test F1",
    "ece": "test ECE",
}
# where a seed listens to one sensor or to the other, so that a mean of seeds says little by itself
CHOICES = {"rgb_missing": "no RGB", "lidar_missing": "no LiDAR", "other_shape": "follows RGB"}
PASSING = 0.9  # accuracy of a seed that has the answer in spite of the fault
ALL = (*SCORES, *COSTS)
NOT_MEASURED = "not measured: shared GPU"
# what the report prints; runs/compare/ has all columns
REPORTED = ("accuracy", "val_loss", "ece", "parameters", "seconds_per_epoch")
REPORTED_ABLATION = ("accuracy", "parameters", "seconds_per_epoch", "epochs")


def comparison_table(study: Comparison, columns: Sequence[str] = ALL) -> str:
    """Format a row a cell with its verdict beside the leader, then the constant answers."""
    rows = []
    for name, metrics in study.cells.items():
        row = {"cell": name, SCORES["accuracy"]: with_interval(metrics, "accuracy")}
        row["beside the leader"] = "leader" if name == study.leader else verdict_text(study.verdicts[name])
        row |= {title: with_interval(metrics, key) for key, title in SCORES.items() if key in columns}
        row |= {title: number(metrics[key]) for key, title in COSTS.items() if key in columns}
        rows.append(row)
    titles = list(rows[0])
    table = markdown(rows + constant_answers(next(iter(study.cells.values())), titles))
    return table + precision_note(study.cells)


def constant_answers(metrics: Metrics, titles: Sequence[str]) -> list[dict[str, str]]:
    """Return the rows of always the majority class and of a coin; the metrics of any cell give the class shares.

    The majority class is predicted with its share as probability, so its calibration error is 0.
    """
    cubes, spheres = (sum(row) for row in metrics["confusion"])
    share = max(cubes, spheres) / (cubes + spheres)
    # the expected F1 of a coin on a class of share q is 2 q (1/2) / (q + 1/2)
    coin_f1 = sum(q / (q + 0.5) for q in (share, 1 - share)) / 2
    answers = {
        "majority class": {"loss": constant_loss(share), "accuracy": share, "f1": share / (1 + share), "ece": 0.0},
        "coin": {"loss": log(2), "accuracy": 0.5, "f1": coin_f1, "ece": 0.0},
    }
    rows = []
    for name, scores in answers.items():
        row = {"cell": name} | {SCORES[key]: f"{value:.4f}" for key, value in scores.items()}
        rows.append({title: row.get(title, "") for title in titles})
    return rows


def constant_loss(chance: float) -> float:
    """Compute the cross-entropy of an answer that knows the share of the majority class and nothing else."""
    return -sum(share * log(share) for share in (chance, 1 - chance) if share)


def ablation_table(study: Ablation, columns: Sequence[str] = ALL) -> str:
    """Format a row a cell; in brackets the difference from the base of its fusion, or the ratio to it for costs."""
    rows = []
    for group in study.groups.values():
        for name in group:
            metrics = study.cells[name]
            base = None if name == group[0] else study.cells[group[0]]
            row = {"cell": name}
            row |= {f"beside {downsample_name(group[0])}": "" if base is None else verdict_text(study.verdicts[name])}
            for key, title in SCORES.items():
                if key in columns:
                    row[title] = with_interval(metrics, key) + change(metrics, base, key)
            for key, title in COSTS.items():
                if key in columns:
                    row[title] = number(metrics[key]) + ratio(metrics, base, key)
            rows.append(row)
    if not rows:
        return "No fusion of the matrix has more than one downsampling.\n"
    return markdown(rows) + precision_note(study.cells)


def curve_table(study: Curve) -> str:
    """Format a row a fusion, a column a number of scenes; an asterisk marks a difference from the reference."""
    fusions = dict.fromkeys(fusion for point in study.points.values() for fusion in point)
    rows = []
    for fusion in fusions:
        row = {"fusion": fusion + (" (reference)" if fusion == study.reference else "")}
        for scenes, point in study.points.items():
            accuracy = with_interval(point[fusion], "accuracy", 3) if fusion in point else ""
            row[f"{scenes:,} scenes"] = accuracy + mark(study.verdicts.get((scenes, fusion)))
        rows.append(row)
    chance = {"fusion": "chance"} | {f"{scenes:,} scenes": f"{study.chance:.3f}" for scenes in study.points}
    recorded = {
        f"{fusion}, {scenes} scenes": each for scenes, point in study.points.items() for fusion, each in point.items()
    }
    return markdown([*rows, chance]) + precision_note(recorded)


def stress_table(study: Stress, cells: Sequence[str]) -> str:
    """Format a row a cell, a column a fault: mean accuracy; an asterisk marks a difference from the leader."""
    rows = []
    for name in cells:
        row = {"cell": name + (" (leader)" if name == study.leader else "")}
        for fault, means in study.means.items():
            verdict = study.verdicts.get((fault, name))
            row[fault.replace("_", " ")] = f"{means[name]['accuracy']:.3f}" + mark(verdict)
        rows.append(row)
    chance = {"cell": "chance"} | {fault.replace("_", " "): f"{study.chance:.3f}" for fault in study.means}
    return markdown([*rows, chance])


def choice_table(study: Stress, cells: Sequence[str]) -> str:
    """Format a row a cell, a column a fault of CHOICES: mean accuracy with its interval, and how many seeds pass."""
    rows = []
    for name in cells:
        row = {"cell": name}
        for fault, title in CHOICES.items():
            seeds = study.by_seed[fault][name]
            passed = sum(accuracy >= PASSING for accuracy in seeds)
            row[title] = f"{with_interval(study.means[fault][name], 'accuracy', 2)} ({passed} of {len(seeds)})"
        rows.append(row)
    return markdown(rows)


def verdict_text(verdict: Verdict) -> str:
    """Format the outcome, the difference with its interval, and p after correction."""
    gap, half_width = verdict.difference.mean, verdict.difference.ci_half_width
    if half_width is None or verdict.p is None:
        return f"{verdict.outcome} ({signed(gap)}, one seed)"
    return f"{verdict.outcome} ({signed(gap)} ± {half_width:.4f}, p {verdict.p:.2g})"


def mark(verdict: Verdict | None) -> str:
    """Return an asterisk for a significant difference."""
    return "*" if verdict and verdict.outcome != LEVELLED else ""


def number(value: float | None) -> str:
    """Format a whole number with thousands separators, any other with two decimals; None are unmeasured seconds."""
    if value is None:
        return NOT_MEASURED
    return f"{value:,}" if isinstance(value, int) else f"{value:,.2f}"


def change(metrics: Metrics, base: Metrics | None, name: str) -> str:
    """Format the difference from the base in brackets; nothing for the base itself."""
    return "" if base is None else f" ({signed(metrics[name] - base[name])})"


def ratio(metrics: Metrics, base: Metrics | None, name: str) -> str:
    """Format the ratio to the base in brackets; nothing for the base itself and where either is None."""
    if base is None or metrics[name] is None or base[name] is None:
        return ""
    return f" (x{metrics[name] / base[name]:.2f})"

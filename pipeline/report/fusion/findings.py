"""The findings of the fusion study: which fusion, a second sensor, the downsampling, a failing sensor."""

from collections.abc import Mapping
from math import inf
from typing import Any

from pipeline.report.cells import Metrics, best_cell, downsample_name, fusion_name
from pipeline.report.findings import Finding, is_above, is_tested, smallest_p, widest_interval, with_outcome
from pipeline.report.fusion.comparisons import Ablation, Comparison, Stress
from pipeline.report.significance import BETTER, LEVELLED, WORSE, Verdict

SENSORS = {"rgb": "RGB", "lidar": "LiDAR"}  # fusions that see one sensor
MARGIN = 0.01  # of accuracy: the 95% interval of a recommended cheaper cell excludes a larger loss


def best_fusion(study: Comparison) -> Finding:
    """Find out whether any fusion differs from the one of the lowest validation loss, and what is cheapest."""
    leader = study.cells[study.leader]
    groups = {outcome: with_outcome(study.verdicts, outcome) for outcome in (BETTER, WORSE, LEVELLED)}
    if not is_above(leader, "accuracy", leader["chance"]):
        outcome = "chance"
    elif not study.verdicts:
        outcome = "alone"
    elif not is_tested(study.verdicts):
        outcome = "untested"
    elif groups[BETTER]:
        outcome = "better"
    elif not groups[LEVELLED]:
        outcome = "best"
    else:
        outcome = "partly" if groups[WORSE] else "level"
    cheap = [study.leader, *(name for name, verdict in study.verdicts.items() if is_as_good(verdict))]
    candidates = {name: study.cells[name] for name in cheap}
    values = {
        "leader": study.leader,
        "metrics": leader,
        "one_seed": leader.get("accuracy_ci95") is None,
        "chance": leader["chance"],
        "better": groups[BETTER],
        "worse": groups[WORSE],
        "level": groups[LEVELLED],
        "others": len(study.verdicts),
        "p": smallest_p(study.verdicts),
        "widest": widest_interval(study.verdicts),
        "margin": MARGIN,
        "smallest": cheapest(candidates, leader, "parameters"),
        "quickest": cheapest(candidates, leader, "seconds_per_epoch"),
    }
    return Finding("best_fusion", "fusion", outcome, values)


def is_as_good(verdict: Verdict) -> bool:
    """Return whether the 95% interval of a difference excludes a loss over MARGIN; without an interval it does not."""
    return largest_loss(verdict) < MARGIN


def largest_loss(verdict: Verdict) -> float:
    """Return the largest loss within the 95% interval of a difference; infinite without an interval."""
    half_width = verdict.difference.ci_half_width
    return inf if half_width is None else half_width - verdict.difference.mean


def cheapest(candidates: Mapping[str, Metrics], leader: Metrics, cost: str) -> dict[str, Any] | None:
    """Return the candidate of the lowest cost, its cost, and the ratio to the leader's; None if a cost is unknown.

    The candidates include the leader.
    """
    if any(metrics[cost] is None for metrics in candidates.values()):
        return None
    name = min(candidates, key=lambda name: candidates[name][cost])
    return {"cell": name, "cost": candidates[name][cost], "ratio": candidates[name][cost] / leader[cost]}


def second_sensor(study: Comparison) -> Finding | None:
    """Find out whether the best fusion beats the best single sensor, both chosen by validation loss.

    One of the two is the leader, so that the other's verdict beside it answers the question. None where there is no
    fusion or no single sensor.
    """
    single = {name: metrics for name, metrics in study.cells.items() if fusion_name(name) in SENSORS}
    fused = {name: metrics for name, metrics in study.cells.items() if name not in single}
    if not single or not fused:
        return None
    fusion, alone = best_cell(fused), best_cell(single)
    verdict = study.verdicts[alone if study.leader == fusion else fusion]
    sign = -1 if study.leader == fusion else 1  # the gap is fusion minus single sensor
    outcomes = {BETTER: "helps" if sign > 0 else "hurts", WORSE: "hurts" if sign > 0 else "helps", LEVELLED: "level"}
    values = {
        "fusion": fusion,
        "single": alone,
        "single_metrics": study.cells[alone],
        "sensor": SENSORS[fusion_name(alone)],
        "gap": sign * verdict.difference.mean,
        "half_width": verdict.difference.ci_half_width,
        "p": verdict.p,
        "chance": study.cells[fusion]["chance"],
    }
    return Finding("second_sensor", "fusion", "untested" if verdict.p is None else outcomes[verdict.outcome], values)


def downsampling(study: Ablation) -> Finding | None:
    """Find out what each other downsampling costs in accuracy and saves in time; None without an ablation."""
    if not study.groups:
        return None
    bases = {name: group[0] for group in study.groups.values() for name in group[1:]}
    variants: dict[str, list[str]] = {}
    for name in bases:
        variants.setdefault(downsample_name(name), []).append(name)
    chance = study.cells[next(iter(bases))]["chance"]
    if not any(is_above(metrics, "accuracy", chance) for metrics in study.cells.values()):
        outcome = "chance"
    else:
        outcome = "tested" if is_tested(study.verdicts) else "untested"
    values = {
        "base": downsample_name(next(iter(bases.values()))),
        "variants": [_variant(study, name, {cell: bases[cell] for cell in cells}) for name, cells in variants.items()],
        "chance": chance,
        "margin": MARGIN,
    }
    return Finding("downsampling", "downsampling", outcome, values)


def _variant(study: Ablation, name: str, bases: Mapping[str, str]) -> dict[str, Any]:
    """Return the effect of a downsampling, over its cells and the base cell of each."""
    verdicts = {cell: study.verdicts[cell] for cell in bases}

    def ratios(*keys: str) -> list[float]:
        """Return the products of the ratios by `keys`, one a cell; empty if a value is unknown."""
        values: list[float] = []
        if any(study.cells[name][key] is None for name in (*bases, *bases.values()) for key in keys):
            return values
        for cell, base in bases.items():
            ratio = 1.0
            for key in keys:
                ratio *= study.cells[cell][key] / study.cells[base][key]
            values.append(ratio)
        return values

    training = ratios("seconds_per_epoch", "epochs")
    return {
        "name": name,
        "cells": list(bases),
        "better": with_outcome(verdicts, BETTER),
        "worse": with_outcome(verdicts, WORSE),
        "as_good": [cell for cell, verdict in verdicts.items() if is_as_good(verdict)],
        "open": [cell for cell, verdict in verdicts.items() if not is_as_good(verdict)],
        "largest_loss": max(map(largest_loss, verdicts.values())),
        "gaps": [verdict.difference.mean for verdict in verdicts.values()],
        "widest": widest_interval(verdicts),
        "p": smallest_p(verdicts),
        "parameters": ratios("parameters"),
        "epoch": ratios("seconds_per_epoch"),
        "epochs": ratios("epochs"),
        "training": training,
        "quicker": max(training, default=1) < 1,
    }


def sensor_failure(study: Stress, comparison: Comparison) -> Finding | None:
    """Find the accuracy of the best fusion by validation loss without either sensor; None without a fusion."""
    fused = {name: metrics for name, metrics in comparison.cells.items() if fusion_name(name) not in SENSORS}
    faults = {key: f"{key}_missing" for key in SENSORS if f"{key}_missing" in study.means}
    if not fused or not faults:
        return None
    fusion = best_cell(fused)
    failures: list[dict[str, Any]] = []
    for key, fault in faults.items():
        means = study.means[fault]
        above = [name for name in fused if is_above(means[name], "accuracy", study.chance)]
        failures.append(
            {"sensor": SENSORS[key], "metrics": means[fusion], "above": fusion in above, "fusions_above": len(above)}
        )
    survived = sum(failure["above"] for failure in failures)
    clean = study.means["clean"][fusion]
    one_seed = clean.get("accuracy_ci95") is None
    if not is_above(clean, "accuracy", study.chance):
        outcome = "chance"
    elif one_seed:
        outcome = "untested"
    else:
        outcome = "fails" if not survived else "survives" if survived == len(failures) else "partly"
    values = {
        "fusion": fusion,
        "clean": clean,
        "failures": failures,
        "fusions": len(fused),
        "one_seed": one_seed,
        "chance": study.chance,
    }
    return Finding("sensor_failure", "sensor-faults", outcome, values)


def separated(verdicts: Mapping[Any, Verdict]) -> int:
    """Count the verdicts with a significant difference."""
    return sum(verdict.outcome != LEVELLED for verdict in verdicts.values())

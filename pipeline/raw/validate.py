"""Validate a raw folder by one reading of it: all its issues, and the rows that are left to use."""

from collections import Counter
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from tabulate import tabulate
from tqdm import tqdm

from pipeline.core.errors import PipelineError, printable
from pipeline.core.sensors import CLASSES
from pipeline.data.splits import SPLITS
from pipeline.raw.checks.alignment import find_misaligned
from pipeline.raw.checks.duplicates import FrameReader, find_duplicates, find_near_duplicates
from pipeline.raw.checks.plausibility import find_implausible
from pipeline.raw.format import MAX_LISTED, Issue, pair_at, read_depth, read_rgb
from pipeline.raw.frame_stats import FRAME_STATS
from pipeline.raw.index import NO_SCENES, FolderIndex, Rows
from pipeline.raw.scan import FRAME_SPECS, scan_rows
from pipeline.raw.splitting import Splitter


@dataclass(frozen=True)
class ValidationReport:
    """The result of reading a raw folder. The rows are those of `FolderIndex.rows`, complete or not."""

    index: FolderIndex
    rows: Rows
    stats: np.ndarray  # (N,) FRAME_STATS
    split_ids: np.ndarray  # (N,) int: the number of each row's split in SPLITS; -1: not to be used
    issues: list[Issue]

    @property
    def errors(self) -> list[Issue]:
        """Return the issues that keep pairs from being used."""
        return [issue for issue in self.issues if issue.severity == "error"]

    @property
    def warnings(self) -> list[Issue]:
        """Return the issues that are odd and harm nothing."""
        return [issue for issue in self.issues if issue.severity == "warning"]

    @property
    def fatal(self) -> list[Issue]:
        """Return the errors of the whole folder, which leaving scenes out does not fix."""
        return [issue for issue in self.errors if issue.scenes is None]

    def error_rows(self) -> np.ndarray:
        """Return (N,) bool: the rows of scenes that have an error, in either class."""
        broken = [np.arange(issue.scenes.start, issue.scenes.stop) for issue in self.errors if issue.scenes]
        return np.isin(self.rows.scene, np.concatenate(broken)) if broken else np.zeros(len(self.rows), bool)

    def usable_rows(self) -> np.ndarray:
        """Return (N,) bool: the rows with a split and without an error. A scene is usable in both classes or none."""
        return (self.split_ids >= 0) & ~self.error_rows()


def validate_folder(index: FolderIndex, splitter: Splitter | None, into: Path | None = None) -> ValidationReport:
    """Read everything in an indexed raw folder once, and report all issues. Raises nothing for them.

    `splitter` assigns scenes to splits (None: all to the first); `into`: see `scan_rows`.
    """
    folder, rows, issues = index.folder, index.rows(), list(index.issues)
    stats = np.empty(len(rows), FRAME_STATS)
    with tqdm(total=len(rows), desc=f"read {folder.name}", unit="pair", disable=None) as bar:
        for block in scan_rows(folder, rows, into):
            stats[block.start : block.start + len(block.stats)] = block.stats
            issues += block.issues
            bar.update(len(block.stats))
    report = ValidationReport(index, rows, stats, np.full(len(rows), -1), issues)
    fatal = bool(report.fatal)
    if not fatal:
        issues += empty_classes(folder, rows, stats, stats["valid"])
        try:
            report = replace(report, split_ids=_split_ids(rows, stats, splitter))
        except PipelineError as error:
            hint = "fix the errors first, then prepare in params.yaml"
            issues.append(Issue("no-split", folder, str(error), "scenes for every split", hint, NO_SCENES))
    issues += find_duplicates(folder, rows, stats, report.split_ids)
    issues += find_near_duplicates(folder, rows, stats, report.split_ids, _frame_reader(folder, rows))
    issues += find_implausible(folder, rows, stats)
    issues += [] if fatal else find_misaligned(folder, rows, stats)  # a folder without angles is fatal
    return report


def empty_classes(folder: Path, rows: Rows, stats: np.ndarray, selected: np.ndarray) -> list[Issue]:
    """Return an issue for every class without a return, or without a lit pixel, in all rows `selected` (N,) bool."""
    issues = []
    for label, name in enumerate(CLASSES):
        own = stats[selected & (rows.label == label)]
        if not own["returns"].any():
            path, hint = folder / name / "lidar", "write ranges under 50 where the object is"
            issues.append(Issue("no-returns-at-all", path, "no frame with a return", "an object in each", hint))
        if not own["lit"].any():
            found, hint = "black pictures alone", "restore the pictures"
            issues.append(Issue("no-light-at-all", folder / name / "rgb", found, "an object in each", hint))
    return issues


def format_report(report: ValidationReport) -> str:
    """Format the report for people: a table of counts by code, then the issues, long lists cut and counted."""
    head = f"{report.index.folder}: {_count_pairs(report):,} pairs, "
    if not report.issues:
        return head + "no issues found"
    counts = Counter((issue.severity, issue.code) for issue in report.issues)
    lines = [head + f"{_count('error', report.errors)}, {_count('warning', report.warnings)}", ""]
    rows = [(severity, code, count) for (severity, code), count in sorted(counts.items())]
    lines.append(tabulate(rows, headers=("severity", "code", "count"), intfmt=","))
    for severity, code, count in rows:
        issues = [issue for issue in report.issues if issue.code == code]
        lines += ["", f"{severity}: {code}", *(f"  {issue}" for issue in issues[:MAX_LISTED])]
        lines += [f"  ... and {count - MAX_LISTED:,} more"] if count > MAX_LISTED else []
    return "\n".join(lines)


def report_to_dict(report: ValidationReport) -> dict[str, Any]:
    """Return the report as JSON values for programs: every issue, nothing cut."""
    return {
        "folder": str(report.index.folder),
        "pairs": _count_pairs(report),
        "files": report.index.counts(),
        "errors": summarize_issues(report.errors),
        "warnings": summarize_issues(report.warnings),
    }


def summarize_issues(issues: list[Issue]) -> list[dict[str, Any]]:
    """Return issues as JSON values; `scenes` is [first, last] of the scenes that an issue makes unusable, or null."""
    fields = ("path", "code", "found", "expected", "hint")
    return [
        {name: printable(str(getattr(issue, name))) for name in fields}
        | {"scenes": [issue.scenes[0], issue.scenes[-1]] if issue.scenes else None}
        for issue in issues
    ]


def _count(severity: str, issues: list[Issue]) -> str:
    return f"{len(issues):,} {severity}" + "s" * (len(issues) != 1)


def _count_pairs(report: ValidationReport) -> int:
    return sum(counts["pairs"] for counts in report.index.counts().values())


def _split_ids(rows: Rows, stats: np.ndarray, splitter: Splitter | None) -> np.ndarray:
    """Return the number of each row's split; -1 for scenes that are not valid in every class or have no split."""
    valid = stats["valid"]
    scenes, at, count = np.unique(rows.scene[valid], return_inverse=True, return_counts=True)
    returns = np.bincount(at, stats["returns"][valid], scenes.size) / np.maximum(count, 1)
    complete = count == len(CLASSES)
    if splitter is None:
        return np.where(valid & np.isin(rows.scene, scenes[complete]), 0, -1)
    split_names = splitter(scenes[complete], returns[complete])
    numbers = {scene: SPLITS.index(name) for scene, name in split_names.items()}
    split_ids = np.array([numbers.get(scene, -1) for scene in rows.scene.tolist()], int)
    return np.where(valid, split_ids, -1)


def _frame_reader(folder: Path, rows: Rows) -> FrameReader:
    """Return a function that reads the frames of some rows from the raw files."""

    def read(selected: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        pairs = [pair_at(folder, int(rows.label[row]), int(rows.scene[row])) for row in selected]
        rgb, depth = (np.empty((len(pairs), *shape), dtype) for dtype, shape in FRAME_SPECS.values())
        for at, pair in enumerate(pairs):
            rgb[at], depth[at] = read_rgb(pair.rgb), read_depth(pair.lidar)
        return rgb, depth

    return read

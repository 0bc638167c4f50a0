"""All that is wrong with a raw folder, from one reading of it, and what is left to work with."""

from collections import Counter
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from tabulate import tabulate
from tqdm import tqdm

from pipeline.core.errors import PipelineError, printable
from pipeline.core.sensors import CLASSES
from pipeline.data.splits import SPLITS
from pipeline.raw.duplicates import FrameReader, find_duplicates, find_near_duplicates
from pipeline.raw.format import MAX_LISTED, Issue, pair_at, read_depth, read_rgb
from pipeline.raw.index import FolderIndex, Rows
from pipeline.raw.scan import FRAME_SPECS, FRAME_STATS, scan_rows
from pipeline.raw.splitting import Splitter


class ValidationReport(NamedTuple):
    """A raw folder, read. Rows are those of `Listing.rows`, whole or not."""

    listing: FolderIndex
    rows: Rows
    measures: np.ndarray  # (N,) of frames.MEASURES
    side: np.ndarray  # (N,) int: the number of each row's split in SPLITS; -1: not to be used
    faults: list[Issue]

    @property
    def errors(self) -> list[Issue]:
        """What keeps pairs from being used."""
        return [fault for fault in self.faults if fault.severity == "error"]

    @property
    def warnings(self) -> list[Issue]:
        """What is odd and harms nothing."""
        return [fault for fault in self.faults if fault.severity == "warning"]

    @property
    def fatal(self) -> list[Issue]:
        """Errors of the folder as a whole, which leaving scenes out does not mend."""
        return [fault for fault in self.errors if fault.scenes is None]

    def at_fault(self) -> np.ndarray:
        """(N,) bool: rows of scenes that an error concerns, in either class."""
        broken = [np.arange(fault.scenes.start, fault.scenes.stop) for fault in self.errors if fault.scenes]
        return np.isin(self.rows.scene, np.concatenate(broken)) if broken else np.zeros(len(self.rows), bool)

    def used(self) -> np.ndarray:
        """(N,) bool: rows of a split that no error concerns. A scene is used in both classes or not at all."""
        return (self.side >= 0) & ~self.at_fault()


def validate_folder(listing: FolderIndex, split: Splitter | None, into: Path | None = None) -> ValidationReport:
    """Read everything in a listed raw folder once. What is wrong with it is in the report; nothing is raised for it.

    `split` says which scenes would lie in which split (None: all in the first); `into`: see `frames.read_rows`.
    """
    folder, rows, faults = listing.folder, listing.rows(), list(listing.faults)
    measures = np.empty(len(rows), FRAME_STATS)
    with tqdm(total=len(rows), desc=f"read {folder.name}", unit="pair", disable=None) as bar:
        for block in scan_rows(folder, rows, into):
            measures[block.start : block.start + len(block.measures)] = block.measures
            faults += block.faults
            bar.update(len(block.measures))
    report = ValidationReport(listing, rows, measures, np.full(len(rows), -1), faults)
    if not report.fatal:
        faults += classes_without_returns(folder, rows, measures, measures["good"])
        try:
            report = report._replace(side=_sides(rows, measures, split))
        except PipelineError as error:
            fix = "mend the errors first, then prepare in params.yaml"
            faults.append(Issue("no-split", folder, str(error), "scenes for every split", fix, range(0)))
    faults += find_duplicates(folder, rows, measures, report.side)
    faults += find_near_duplicates(folder, rows, measures, report.side, _reader(folder, rows))
    return report


def format_report(report: ValidationReport) -> str:
    """The report for people: a line a kind, then the faults, long lists cut and counted."""
    head = f"{report.listing.folder}: {_pairs(report):,} pairs, "
    if not report.faults:
        return head + "no fault found"
    counts = Counter((fault.severity, fault.kind) for fault in report.faults)
    lines = [head + f"{_counted('error', report.errors)}, {_counted('warning', report.warnings)}", ""]
    rows = [(severity, kind, count) for (severity, kind), count in sorted(counts.items())]
    lines.append(tabulate(rows, headers=("severity", "kind", "count"), intfmt=","))
    for severity, kind, count in rows:
        told = [fault for fault in report.faults if fault.kind == kind]
        lines += ["", f"{severity}: {kind}", *(f"  {fault}" for fault in told[:MAX_LISTED])]
        lines += [f"  ... and {count - MAX_LISTED:,} more"] if count > MAX_LISTED else []
    return "\n".join(lines)


def report_to_dict(report: ValidationReport) -> dict[str, Any]:
    """The report for machines: every fault, nothing cut."""
    found = {"folder": str(report.listing.folder), "pairs": _pairs(report), "files": report.listing.counts()}
    return found | {
        "errors": list(map(summarize_issues, report.errors)),
        "warnings": list(map(summarize_issues, report.warnings)),
    }


def summarize_issues(fault: Issue) -> dict[str, Any]:
    """A fault as JSON has it; `scenes` are the first and the last that cannot be used because of it."""
    scenes = [fault.scenes[0], fault.scenes[-1]] if fault.scenes else None
    words = {name: printable(str(getattr(fault, name))) for name in ("path", "kind", "found", "expected", "fix")}
    return words | {"scenes": scenes}


def _counted(what: str, faults: list[Issue]) -> str:
    return f"{len(faults):,} {what}" + "s" * (len(faults) != 1)


def _pairs(report: ValidationReport) -> int:
    return sum(counts["pairs"] for counts in report.listing.counts().values())


def _sides(rows: Rows, measures: np.ndarray, split: Splitter | None) -> np.ndarray:
    """The number of each row's split; -1 for what is not whole in every class, and for scenes without a split."""
    good = measures["good"]
    scenes, at, count = np.unique(rows.scene[good], return_inverse=True, return_counts=True)
    returns = np.bincount(at, measures["returns"][good], scenes.size) / np.maximum(count, 1)
    whole = count == len(CLASSES)
    if split is None:
        return np.where(good & np.isin(rows.scene, scenes[whole]), 0, -1)
    known = {scene: SPLITS.index(name) for scene, name in split(scenes[whole], returns[whole]).items()}
    side = np.array([known.get(scene, -1) for scene in rows.scene.tolist()], int)
    return np.where(good, side, -1)


def _reader(folder: Path, rows: Rows) -> FrameReader:
    """Frames by row, from the raw files."""

    def read(some: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        pairs = [pair_at(folder, int(rows.label[row]), int(rows.scene[row])) for row in some]
        rgb, depth = (np.empty((len(pairs), *shape), dtype) for dtype, shape in FRAME_SPECS.values())
        for at, pair in enumerate(pairs):
            rgb[at], depth[at] = read_rgb(pair.rgb), read_depth(pair.lidar)
        return rgb, depth

    return read


def classes_without_returns(folder: Path, rows: Rows, measures: np.ndarray, some: np.ndarray) -> list[Issue]:
    """Classes without a single LiDAR return in `some` (N,) bool of the rows."""
    faults = []
    for label, name in enumerate(CLASSES):
        if not measures["returns"][some & (rows.label == label)].any():
            fix = "write ranges under 50 where the object is"
            home = folder / name / "lidar"
            faults.append(Issue("no-returns-at-all", home, "no frame with a return", "an object in each", fix))
    return faults

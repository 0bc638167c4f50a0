"""Prepare a raw folder for training: an array per modality, labels, and the split. Lossless, bit for bit."""

import hashlib
from collections import Counter
from pathlib import Path
from typing import Any, Literal

import numpy as np

from pipeline.core.errors import printable
from pipeline.core.files import resumable_folder, write_text
from pipeline.core.sensors import CLASSES, IMAGE_SIZE
from pipeline.data.splits import SPLITS, write_splits
from pipeline.raw.format import DataError, Issue, read_angles
from pipeline.raw.frame_stats import FRAME_STATS
from pipeline.raw.index import Rows, format_scenes, index_folder
from pipeline.raw.scan import allocate_arrays, read_npy_header
from pipeline.raw.splitting import Splitter
from pipeline.raw.validate import ValidationReport, empty_classes, validate_folder

ROWS_AT_ONCE = 1024  # rows copied at a time


def prepare(source: Path, folder: Path, splitter: Splitter, on_error: Literal["stop", "skip"] = "stop") -> dict:
    """Write the arrays of the raw folder `source` to `folder`, and return the metrics of the data.

    The arrays: rgb (N, H, W, 4) uint8, depth (N, H, W) float32, label (N,) uint8, azimuth (H,) and zenith (W,)
    float32, and of the training split, mean and standard deviation each: returns (2,) float32 of the LiDAR returns,
    colors (2, 3) float32 of red, green and blue in [0, 1]. Beside them: split.tsv and frames.tsv, a line a pair.

    Raises DataError with all errors of the folder together; with `skip`,
    scenes that have an error are left out, and only errors of the whole folder are raised. A call that
    was interrupted is resumed by the next one with these arguments.
    """
    index = index_folder(source)
    rows = index.rows()
    if not len(rows):
        raise DataError(*index.issues)
    with resumable_folder(folder, _resume_key(source, rows)) as partial:
        allocate_arrays(partial, len(rows))
        report = validate_folder(index, splitter, partial)
        usable = _require_usable_rows(report, on_error)
        _finish_arrays(partial, usable)
        stats, split_ids = report.stats[usable], report.split_ids[usable]
        label, scene = report.rows.label[usable], report.rows.scene[usable]
        azimuth, zenith = read_angles(source, CLASSES[0])  # the report has no error: both classes have these
        returns = _returns_mean_std(stats[split_ids == 0])
        colors = _colors_mean_std(stats[split_ids == 0])
        arrays = {"label": label, "azimuth": azimuth, "zenith": zenith, "returns": returns, "colors": colors}
        for name, array in arrays.items():
            np.save(partial / f"{name}.npy", array, allow_pickle=False)
        splits = {int(number): SPLITS[split_id] for number, split_id in zip(scene, split_ids, strict=True)}
        write_splits(partial / "split.tsv", label, scene, splits)
        write_text(partial / "frames.tsv", _frames_table(label, scene, split_ids, stats))
        return _metrics(report, usable)


def _resume_key(source: Path, rows: Rows) -> str:
    """Identify the work of a call: only a call for equal rows of the folder may go on with an interrupted one."""
    digest = hashlib.blake2b(b"".join(column.tobytes() for column in rows), digest_size=16)
    digest.update(repr(FRAME_STATS).encode())  # a note of another version of them cannot be read
    return f"{source.resolve()} {digest.hexdigest()}"


def _require_usable_rows(report: ValidationReport, on_error: Literal["stop", "skip"]) -> np.ndarray:
    """Return the usable rows, (N,) bool; raises DataError where the issues leave no data set with all splits."""
    errors, usable = report.errors, report.usable_rows()
    unsplit = [issue for issue in report.issues if issue.code == "no-split"]
    if on_error == "stop" and errors:
        raise DataError(*errors)
    if report.fatal or unsplit:
        raise DataError(*report.fatal, *unsplit)
    for split_id, name in enumerate(SPLITS):
        if not (usable & (report.split_ids == split_id)).any():
            found, expected = f"no whole scene for split {name}", "scenes for every split"
            raise DataError(Issue("no-split", report.index.folder, found, expected, "fix the others"), *errors)
    if issues := empty_classes(report.index.folder, report.rows, report.stats, usable):
        raise DataError(*issues)
    return usable


def _finish_arrays(folder: Path, usable: np.ndarray) -> None:
    """Remove the rows that are not usable from rgb.npy and depth.npy, and the notes of finished blocks."""
    if not usable.all():
        for name in ("rgb", "depth"):
            _select_rows(folder / f"{name}.npy", np.flatnonzero(usable))
    for path in (folder / "blocks").iterdir():
        path.unlink()
    (folder / "blocks").rmdir()


def _select_rows(path: Path, rows: np.ndarray) -> None:
    """Replace an .npy file by some of its rows, ROWS_AT_ONCE at a time and without a memory map (see scan)."""
    selected = path.with_suffix(".selected")
    with path.open("rb") as source, selected.open("wb") as target:
        shape, fortran, dtype = read_npy_header(source)
        start, row_bytes = source.tell(), dtype.itemsize * int(np.prod(shape[1:]))
        header = {
            "descr": np.lib.format.dtype_to_descr(dtype),
            "fortran_order": fortran,
            "shape": (rows.size, *shape[1:]),
        }
        np.lib.format.write_array_header_1_0(target, header)
        for run in np.split(rows, np.flatnonzero(np.diff(rows) != 1) + 1):
            for chunk in np.array_split(run, -(-run.size // ROWS_AT_ONCE)):
                source.seek(start + int(chunk[0]) * row_bytes)
                target.write(source.read(chunk.size * row_bytes))
    selected.replace(path)


def _returns_mean_std(stats: np.ndarray) -> np.ndarray:
    """Compute mean and standard deviation (2,) of the ranges of all returns of some frames."""
    count = stats["returns"].sum(dtype=np.int64)
    if not count:
        raise DataError("no LiDAR frame of the training split has a return (depth under 50): check the lidar files")
    mean = stats["range_sum"].sum() / count
    return np.array([mean, np.sqrt(stats["range_sq_sum"].sum() / count - mean**2)], np.float32)


def _colors_mean_std(stats: np.ndarray) -> np.ndarray:
    """Compute mean and standard deviation (2, 3) of red, green and blue in [0, 1], over all pixels of some frames.

    A channel that never changes has the standard deviation 1, so that dividing by it is harmless.
    """
    pixels = len(stats) * IMAGE_SIZE**2
    mean = stats["color_sum"].sum(axis=0, dtype=np.float64) / pixels
    variance = stats["color_sq_sum"].sum(axis=0, dtype=np.float64) / pixels - mean**2
    std = np.where(variance > 0, np.sqrt(np.maximum(variance, 0)), 255)
    return (np.stack([mean, std]) / 255).astype(np.float32)


def _frames_table(label: np.ndarray, scene: np.ndarray, split_ids: np.ndarray, stats: np.ndarray) -> str:
    """Format the statistics as TSV, a line a pair: ranges in Omniverse units, brightness in levels of 255."""
    import pandas as pd  # slow to import, and readers of frames start without it

    hit = stats["returns"] > 0
    table = pd.DataFrame({
        "class": np.array(CLASSES)[label],
        "scene": scene,
        "split": np.array(SPLITS)[split_ids],
        "returns": stats["returns"],
        "nearest": np.where(hit, stats["nearest"], np.nan),
        "mean_range": np.where(hit, stats["range_sum"] / np.maximum(stats["returns"], 1), np.nan),
        "farthest": np.where(hit, stats["farthest"], np.nan),
        "lit": stats["lit"],
        "brightness": stats["brightness"].astype(np.float64),
    })  # fmt: skip
    return table.to_csv(sep="\t", index_label="row", float_format="%.4f", lineterminator="\n")


def _metrics(report: ValidationReport, usable: np.ndarray) -> dict[str, Any]:
    """Compute the pairs per split and class, the statistics of each class, and what was left out."""
    label, split_ids = report.rows.label, report.split_ids
    warnings = Counter(issue.code for issue in report.warnings)
    metrics: dict[str, Any] = {"pairs": int(usable.sum())}
    for split_id, name in enumerate(SPLITS):
        rows = usable & (split_ids == split_id)
        metrics[name] = {class_: int((rows & (label == i)).sum()) for i, class_ in enumerate(CLASSES)}
    for i, (class_, counts) in enumerate(report.index.counts().items()):
        files = {"rgb_files": counts["rgb"], "lidar_files": counts["lidar"], "pairs_found": counts["pairs"]}
        metrics[class_] = files | _class_metrics(report.stats[usable & (label == i)])
    error_rows = report.error_rows()
    metrics["warnings"] = dict(sorted(warnings.items()))
    metrics["left_out"] = {"pairs": int(error_rows.sum()), "faults": [_error_metrics(issue) for issue in report.errors]}
    metrics["not_asked_for"] = int((~usable & ~error_rows).sum())  # scenes over prepare.scene_counts
    return metrics | {"duplicates": warnings["duplicate"], "near_duplicates": warnings["near-duplicate"]}


def _error_metrics(issue: Issue) -> dict[str, str]:
    scenes = format_scenes(issue.scenes) if issue.scenes else ""
    return {
        "path": printable(str(issue.path)),
        "kind": issue.code,
        "found": printable(issue.found),
        "scenes": scenes,
    }


def _class_metrics(stats: np.ndarray) -> dict[str, float]:
    """Compute returns per frame, ranges of returns in Omniverse units, lit pixels and their brightness."""
    returns, hit = stats["returns"], stats[stats["returns"] > 0]
    return {
        "returns_min": int(returns.min()),
        "returns_mean": round(float(returns.mean()), 2),
        "returns_max": int(returns.max()),
        "depth_min": round(float(hit["nearest"].min()), 3),
        "depth_mean": round(float(stats["range_sum"].sum() / returns.sum(dtype=np.int64)), 3),
        "depth_max": round(float(hit["farthest"].max()), 3),
        "lit_mean": round(float(stats["lit"].mean()), 2),
        "brightness_mean": round(float(stats["brightness"].mean(dtype=np.float64)), 2),
    }

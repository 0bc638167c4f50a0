"""Raw pairs -> one array per modality, labels, scenes and the split. Lossless: what comes out is what went in."""

import hashlib
from collections import Counter
from pathlib import Path
from typing import Any, Literal

import numpy as np

from pipeline.core.files import resumable_folder, write_text
from pipeline.core.sensors import CLASSES
from pipeline.data.splits import SPLITS, write_splits
from pipeline.raw.format import DataError, Issue, read_angles
from pipeline.raw.index import Rows, format_scenes, index_folder
from pipeline.raw.scan import allocate_arrays, read_npy_header
from pipeline.raw.splitting import Splitter
from pipeline.raw.validate import ValidationReport, classes_without_returns, summarize_issues, validate_folder

CHUNK = 1024  # rows copied at a time


def prepare(source: Path, folder: Path, split: Splitter, on_error: Literal["stop", "skip"] = "stop") -> dict:
    """Write the arrays of the raw folder `source` to `folder` and return the data metrics.

    The arrays: rgb (N, H, W, 4) uint8, depth (N, H, W) float32, label (N,) uint8, azimuth (H,) and zenith (W,)
    float32, returns (2,) float32: mean and standard deviation of the training split's hits. Beside them split.tsv and
    frames.tsv, a line a pair. All errors of the folder are raised together as DataError; `skip` leaves out the scenes
    that have any, unless the folder as a whole is at fault. An interrupted run is gone on with by the next.
    """
    listing = index_folder(source)
    rows = listing.rows()
    if not len(rows):
        raise DataError(*listing.faults)
    with resumable_folder(folder, _key(source, rows)) as part:
        allocate_arrays(part, len(rows))
        report = validate_folder(listing, split, part)
        used = _usable(report, on_error)
        _keep(part, used)
        measures, side = report.measures[used], report.side[used]
        label, scene = report.rows.label[used], report.rows.scene[used]
        azimuth, zenith = read_angles(source, CLASSES[0])  # the survey saw that both classes have the same
        arrays = {"label": label, "azimuth": azimuth, "zenith": zenith, "returns": _returns(measures[side == 0])}
        for name, array in arrays.items():
            np.save(part / f"{name}.npy", array, allow_pickle=False)
        names = {int(number): SPLITS[part] for number, part in zip(scene, side, strict=True)}
        write_splits(part / "split.tsv", label, scene, names)
        write_text(part / "frames.tsv", _frames(label, scene, side, measures))
        return _metrics(report, used)


def _key(source: Path, rows: Rows) -> str:
    """What a half-done run must have begun with to be gone on with: the same rows of the same folder."""
    listed = hashlib.blake2b(b"".join(column.tobytes() for column in rows), digest_size=16)
    return f"{source.resolve()} {listed.hexdigest()}"


def _usable(report: ValidationReport, on_error: Literal["stop", "skip"]) -> np.ndarray:
    """(N,) bool: the rows to take. Raises DataError where they cannot be."""
    errors, used = report.errors, report.used()
    unsplit = [fault for fault in report.faults if fault.kind == "no-split"]
    if on_error == "stop" and errors:
        raise DataError(*errors)
    if report.fatal or unsplit:
        raise DataError(*report.fatal, *unsplit)
    for number, name in enumerate(SPLITS):
        if not (used & (report.side == number)).any():
            found, expected = f"no whole scene for split {name}", "scenes for every split"
            raise DataError(Issue("no-split", report.listing.folder, found, expected, "mend the others"), *errors)
    if blind := classes_without_returns(report.listing.folder, report.rows, report.measures, used):
        raise DataError(*blind)
    return used


def _keep(folder: Path, used: np.ndarray) -> None:
    """Take the rows that are not used out of the arrays, and the traces of their making away."""
    for path in (folder / "rgb.npy", folder / "depth.npy"):
        if not used.all():
            _copy_rows(path, np.flatnonzero(used))
    for path in (folder / "blocks").iterdir():
        path.unlink()
    (folder / "blocks").rmdir()


def _copy_rows(path: Path, rows: np.ndarray) -> None:
    """Replace an .npy file by some of its rows, a chunk at a time."""
    kept = path.with_suffix(".kept")
    with path.open("rb") as source, kept.open("wb") as target:
        shape, _, dtype = read_npy_header(source)
        start, size = source.tell(), dtype.itemsize * int(np.prod(shape[1:]))
        header = {
            "descr": np.lib.format.dtype_to_descr(dtype),
            "fortran_order": False,
            "shape": (rows.size, *shape[1:]),
        }
        np.lib.format.write_array_header_1_0(target, header)
        for run in np.split(rows, np.flatnonzero(np.diff(rows) != 1) + 1):
            for chunk in np.array_split(run, -(-run.size // CHUNK)):
                source.seek(start + int(chunk[0]) * size)
                target.write(source.read(chunk.size * size))
    kept.replace(path)


def _returns(measures: np.ndarray) -> np.ndarray:
    """Mean and standard deviation (2,) of all hits of some frames."""
    count = measures["returns"].sum(dtype=np.int64)
    if not count:
        raise DataError("no LiDAR frame of the training split has a return (depth under 50): check the lidar files")
    mean = measures["total"].sum() / count
    return np.array([mean, np.sqrt(measures["squares"].sum() / count - mean**2)], np.float32)


def _frames(label: np.ndarray, scene: np.ndarray, side: np.ndarray, measures: np.ndarray) -> str:
    """One line a pair: what each sensor saw; ranges in Omniverse units, brightness in levels of 255."""
    import pandas as pd  # as in split

    some = measures["returns"] > 0
    table = pd.DataFrame({
        "class": np.array(CLASSES)[label],
        "scene": scene,
        "split": np.array(SPLITS)[side],
        "returns": measures["returns"],
        "nearest": np.where(some, measures["nearest"], np.nan),
        "mean_range": np.where(some, measures["total"] / np.maximum(measures["returns"], 1), np.nan),
        "farthest": np.where(some, measures["farthest"], np.nan),
        "lit": measures["lit"],
        "brightness": measures["brightness"].astype(np.float64),
    })  # fmt: skip
    return table.to_csv(sep="\t", index_label="row", float_format="%.4f", lineterminator="\n")


def _metrics(report: ValidationReport, used: np.ndarray) -> dict[str, Any]:
    """Pairs per split and class, what each sensor saw of each class, and what was left out."""
    label, side, kinds = report.rows.label, report.side, Counter(fault.kind for fault in report.warnings)
    metrics: dict[str, Any] = {"pairs": int(used.sum())}
    for number, name in enumerate(SPLITS):
        in_split = used & (side == number)
        metrics[name] = {kind: int((in_split & (label == i)).sum()) for i, kind in enumerate(CLASSES)}
    for i, (kind, found) in enumerate(report.listing.counts().items()):
        files = {"rgb_files": found["rgb"], "lidar_files": found["lidar"], "pairs_found": found["pairs"]}
        metrics[kind] = files | _class_metrics(report.measures[used & (label == i)])
    at_fault = report.at_fault()
    faults = [
        {name: value for name, value in summarize_issues(fault).items() if name in ("kind", "path", "found")}
        | {"scenes": format_scenes(fault.scenes) if fault.scenes else ""}
        for fault in report.errors
    ]
    metrics["warnings"] = dict(sorted(kinds.items()))
    metrics["left_out"] = {"pairs": int(at_fault.sum()), "faults": faults}
    metrics["not_asked_for"] = int((~used & ~at_fault).sum())  # scenes over prepare.scene_counts
    return metrics | {"duplicates": kinds["duplicate"], "near_duplicates": kinds["near-duplicate"]}


def _class_metrics(measures: np.ndarray) -> dict[str, float]:
    """Returns per frame, ranges of hits in Omniverse units, lit pixels and their brightness."""
    returns, some = measures["returns"], measures[measures["returns"] > 0]
    return {
        "returns_min": int(returns.min()),
        "returns_mean": round(float(returns.mean()), 2),
        "returns_max": int(returns.max()),
        "depth_min": round(float(some["nearest"].min()), 3),
        "depth_mean": round(float(measures["total"].sum() / returns.sum(dtype=np.int64)), 3),
        "depth_max": round(float(some["farthest"].max()), 3),
        "lit_mean": round(float(measures["lit"].mean()), 2),
        "brightness_mean": round(float(measures["brightness"].mean(dtype=np.float64)), 2),
    }

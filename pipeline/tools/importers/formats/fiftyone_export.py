"""A grouped FiftyOneDataset folder as a source, read without FiftyOne. An export of this project returns its raw bytes.

The folder's samples.json comes from outside and may have any size: it is read piece by piece, no path in it leads out
of the folder, and nothing in it is unpacked to more than a frame.
"""

import base64
import json
import re
import zlib
from collections.abc import Callable
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np

from pipeline.core.sensors import ANGLES, CLASSES, IMAGE_SIZE
from pipeline.raw.format import DataError, Issue, parse_angle, parse_depth, read_bytes
from pipeline.render.images import from_camera_view
from pipeline.tools.importers.formats.fiftyone_samples import Sample, not_an_export, read_samples
from pipeline.tools.importers.formats.pointcloud import depth_from_points, read_pcd
from pipeline.tools.importers.source import Source, compute_fingerprint, file_stamp, npy_bytes

MAX_INFO_BYTES = 16 << 20  # of metadata.json, which holds saved views and the like too
MAX_FRAME_BYTES = 4 * IMAGE_SIZE * IMAGE_SIZE + 1024  # an array of one frame with its header
POINTS_NOTE = "ranges are rebuilt from points in space: equal to about 1e-5 of a unit, not to the bit"
SEPARATOR = "#"  # between a JSON file and the part of it that is a member
CLOUD_SUFFIXES = (".pcd", ".fo3d")


def open_fiftyone(folder: Path) -> Source | None:
    """Return the pairs of a FiftyOneDataset folder; None if the folder is not one.

    A pair is a group with a PNG picture (slice `rgb`, or the only one) and ranges: a heatmap `depth`, an .npy file, or
    a point cloud. Its class is a classification, tag or part of a path that names cubes or spheres; its scene is the
    field `scene`, else the first number in the picture's name. Raises DataError for an export without pairs.
    """
    if not all((folder / name).is_file() for name in ("metadata.json", "samples.json")):
        return None
    info = _read_info(folder / "metadata.json")
    files, notes = _pair_groups(folder)
    media = [member for member in files.values() if SEPARATOR not in member]
    angles = _read_angles(folder, info)
    files |= {f"{name}/{angle}.npy": f"metadata.json{SEPARATOR}{angle}" for name in CLASSES for angle in angles}
    stamps = (file_stamp(folder / name) for name in ("metadata.json", "samples.json", *media))
    fingerprint = compute_fingerprint([str(folder.resolve()), *files.items(), *stamps])
    read = _reader(folder, angles, camera_view=bool(info.get("depth_turned")))
    return Source(f"FiftyOne data set {folder}", files, read, fingerprint, tuple(notes), f"{folder}/")


# --- what the export holds


def _read_info(path: Path) -> dict[str, Any]:
    if (size := path.stat().st_size) > MAX_INFO_BYTES:
        hint = "export the data set without saved views and runs"
        raise DataError(Issue("too-large", path, f"{size:,} bytes", f"at most {MAX_INFO_BYTES:,}", hint))
    try:
        info = json.loads(path.read_bytes()).get("info")
    except (ValueError, AttributeError, RecursionError) as error:
        raise not_an_export(path, error) from None
    return info if isinstance(info, dict) else {}


def _pair_groups(folder: Path) -> tuple[dict[str, str], list[str]]:
    """Return raw path -> member of all groups, and notes; raises DataError for no pairs and for two of one name."""
    groups: dict[str, list[Sample]] = {}
    for sample in read_samples(folder / "samples.json"):
        groups.setdefault(sample.group, []).append(sample)
    files: dict[str, str] = {}
    unknown, root = 0, folder.resolve()
    for samples in groups.values():
        pair = _pair(folder, root, samples)
        unknown += not pair
        for raw_path, member in pair.items():
            if files.setdefault(raw_path, member) != member:
                path, found = folder / "samples.json", f"two groups for {raw_path}"
                raise DataError(Issue("twice", path, found, "one", "remove one of them"))
    if not files:
        expected = "groups of a PNG picture and LiDAR ranges, of class cube or sphere"
        raise DataError(Issue("no-set", folder, "no such groups", expected, "export them with their media"))
    notes = [f"{unknown:,} groups that name no class, scene or picture were ignored"] if unknown else []
    notes += [POINTS_NOTE] if any(member.lower().endswith(CLOUD_SUFFIXES) for member in files.values()) else []
    return files, notes


# --- pairs


def _pair(folder: Path, root: Path, samples: list[Sample]) -> dict[str, str]:
    """Return raw path -> member of one group; empty where it has no class, scene or picture."""
    pictures = [sample for sample in samples if sample.path.lower().endswith(".png")]
    plain = [sample for sample in pictures if not sample.depth_span]  # the others are coloured depth maps
    rgb = [sample for sample in pictures if sample.slice == "rgb"] or (plain if len(plain) == 1 else [])
    label = _common_value(folder, samples, "label")
    if not rgb or label is None:
        return {}
    number, scene = re.search(r"\d+", PurePosixPath(rgb[0].path).stem), _common_value(folder, samples, "scene")
    if scene is None and number:
        scene = int(number[0][:10])
    if scene is None or not 0 <= scene < 10**9:
        return {}
    pair = {f"{CLASSES[label]}/rgb/{scene:04d}.png": _require_inside(folder, root, rgb[0].path)}
    ranges = _find_ranges(folder, root, samples)
    return pair | ({f"{CLASSES[label]}/lidar/{scene:04d}.npy": ranges} if ranges else {})


def _common_value(folder: Path, samples: list[Sample], name: str) -> int | None:
    """Return the value of a field in those samples of a group that have it; raises DataError where they differ."""
    values = {getattr(sample, name) for sample in samples} - {None}
    if len(values) > 1:
        found = f"{name} {' and '.join(map(str, sorted(values)))} in one group, with {samples[0].path}"
        raise DataError(Issue("contradiction", folder / "samples.json", found, "one", "fix it and export again"))
    return next(iter(values), None)


def _find_ranges(folder: Path, root: Path, samples: list[Sample]) -> str | None:
    """Return the member that holds the ranges of a group: exact ones if there are any, else points."""
    spans = (sample.depth_span for sample in samples if sample.depth_span)
    if span := next(spans, None):
        return f"samples.json{SEPARATOR}{span[0]}-{span[1]}"
    for suffix in (".npy", *CLOUD_SUFFIXES):
        for sample in samples:
            if sample.path.lower().endswith(suffix):
                return _require_inside(folder, root, sample.path)
    return None


def _require_inside(folder: Path, root: Path, path: str) -> str:
    """Return a path of samples.json; raises DataError where it leads out of the folder, whose resolved path is root."""
    parts = PurePosixPath(path)
    try:
        inside = (folder / parts).resolve().is_relative_to(root)
    except (ValueError, OSError, RuntimeError):  # text that no file system accepts, or a link to itself
        inside = False
    if not inside or parts.is_absolute() or ".." in parts.parts or SEPARATOR in path:
        hint = "export it again with export_media=True"
        raise DataError(Issue("outside", folder / "samples.json", f"the path {path}", "one inside the folder", hint))
    return path


# --- angles


def _read_angles(folder: Path, info: dict[str, Any]) -> dict[str, bytes]:
    """Return angle files by angle: from the data set's info, else from beside it. The inventory reports absent ones."""
    files = {}
    for angle in ANGLES:
        if angle in info:
            try:
                files[angle] = npy_bytes(np.array(info[angle], np.float32))
            except (ValueError, TypeError, OverflowError) as error:
                raise not_an_export(folder / "metadata.json", error) from None
        elif content := _read_angle_file(folder, angle):
            files[angle] = content
    return files


def _read_angle_file(folder: Path, angle: str) -> bytes | None:
    """Return the angle file in the folder or in those of its classes, which have one sensor."""
    paths = [folder / f"{angle}.npy", *(folder / name / f"{angle}.npy" for name in CLASSES)]
    contents = {read_bytes(path): path for path in paths if path.is_file()}
    if len(contents) > 1:
        first, second, *_ = contents.values()
        hint = "give the files of one sensor"
        raise DataError(Issue("angles-differ", second, "other angles", f"those of {first}", hint))
    return next(iter(contents), None)


# --- one frame


def _reader(folder: Path, angles: dict[str, bytes], camera_view: bool) -> Callable[[str], bytes]:
    """Return the function from a member to its bytes; `camera_view`: depth maps are oriented as the RGB is."""

    def read(member: str) -> bytes:
        file, separator, part = member.partition(SEPARATOR)
        if separator:
            return (
                angles[part]
                if part in angles
                else _read_heatmap(folder / file, *map(int, part.split("-")), camera_view)
            )
        return (
            _read_cloud(folder / file, angles) if file.lower().endswith(CLOUD_SUFFIXES) else read_bytes(folder / file)
        )

    return read


def _read_heatmap(path: Path, start: int, stop: int, camera_view: bool) -> bytes:
    """Return the depth map in a part of samples.json as the bytes of an .npy file."""
    with path.open("rb") as file:
        file.seek(start)
        text = file.read(stop - start)
    try:
        packed = base64.b64decode(json.loads(text)["depth"]["map"]["$binary"]["base64"], validate=True)
        content = zlib.decompressobj().decompress(packed, MAX_FRAME_BYTES)
    except (ValueError, KeyError, TypeError, zlib.error) as error:
        raise not_an_export(path, f"no depth map at byte {start:,}: {error}") from None
    depth = parse_depth(path.with_name(f"{path.name}{SEPARATOR}{start}-{stop}"), content)
    return npy_bytes(from_camera_view(depth) if camera_view else depth)


def _read_cloud(path: Path, angles: dict[str, bytes]) -> bytes:
    """Return the ranges of a .pcd file, or of the one in an .fo3d scene, as the bytes of an .npy file."""
    if path.suffix.lower() == ".fo3d":
        match = re.search(rb'"pcdPath":\s*"([^"]+)"', read_bytes(path))
        if not match:
            raise not_an_export(path, "no point cloud")
        name = match[1].decode("utf-8", "replace")
        path = path.parent / _require_inside(path.parent, path.parent.resolve(), name)
    if set(angles) != set(ANGLES):
        expected, hint = "angles to place the points by", "put azimuth.npy and zenith.npy beside metadata.json"
        raise DataError(Issue("no-angles", path, "points alone", expected, hint))
    grid = [parse_angle(path, angles[name]) for name in ANGLES]
    return npy_bytes(depth_from_points(path, read_pcd(path, read_bytes(path)), *grid))

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
from typing import Any, NamedTuple

import numpy as np

from pipeline.core.sensors import ANGLES, CLASS_NAMES, CLASSES, IMAGE_SIZE
from pipeline.raw.format import DataError, Issue, parse_angle, parse_depth, read_bytes
from pipeline.render.images import from_camera_view
from pipeline.tools.importers.formats.fiftyone_samples import Sample, not_an_export, read_samples
from pipeline.tools.importers.formats.locate import files_differ
from pipeline.tools.importers.formats.pointcloud import depth_from_points, read_pcd
from pipeline.tools.importers.source import Source, compute_fingerprint, file_stamp, npy_bytes

MAX_INFO_BYTES = 16 << 20  # size of metadata.json, which holds saved views too
MAX_FRAME_BYTES = 4 * IMAGE_SIZE * IMAGE_SIZE + 1024  # an array of one frame with its header
POINTS_NOTE = "ranges are rebuilt from points in space: equal to about 1e-5 of a unit, not to the bit"
SEPARATOR = "#"  # between a JSON file and the part of it that is a member
CLOUD_SUFFIXES = (".pcd", ".fo3d")


class AngleFile(NamedTuple):
    """The angles of one class as the bytes of an .npy file."""

    member: str
    content: bytes


def is_export(folder: Path) -> bool:
    """Return whether a folder holds the two files of a FiftyOneDataset."""
    return all((folder / name).is_file() for name in ("metadata.json", "samples.json"))


def open_fiftyone(folder: Path) -> Source | None:
    """Return the pairs of a FiftyOneDataset folder; None if the folder is not one.

    A pair is a group with a PNG picture (slice `rgb`, or the only one) and ranges: a heatmap `depth`, an .npy file, or
    a point cloud. Its class is a classification, tag or part of a path that names cubes or spheres; its scene is the
    field `scene`, else the first number in the picture's name. Its sensor's angles are in the data set's info (see
    `_find_angles`), else they are files beside it. Raises DataError for an export without pairs.
    """
    if not is_export(folder):
        return None
    info = _flatten(_read_info(folder / "metadata.json"))
    files, notes = _pair_groups(folder)
    angles = _read_angles(folder, info)
    read = _reader(folder, files, angles, camera_view=bool(info.get("depth_turned")))
    files = files | {raw_path: file.member for raw_path, file in angles.items()}
    media = [member for member in files.values() if SEPARATOR not in member]
    stamps = (file_stamp(folder / name) for name in ("metadata.json", "samples.json", *media))
    fingerprint = compute_fingerprint([str(folder.resolve()), *files.items(), *stamps])
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


def _flatten(info: dict[str, Any]) -> dict[str, Any]:
    """Return the values of a mapping and, under `key.inner`, those of the mappings in it."""
    inner = [
        (f"{key}.{name}", value) for key in info if isinstance(info[key], dict) for name, value in info[key].items()
    ]
    return dict(inner) | {key: value for key, value in info.items() if not isinstance(value, dict)}


def _pair_groups(folder: Path) -> tuple[dict[str, str], list[str]]:
    """Return raw path -> member of all groups, and notes; raises DataError for no pairs and for two of one name."""
    groups: dict[str, list[Sample]] = {}
    for sample in read_samples(folder / "samples.json"):
        groups.setdefault(sample.group, []).append(sample)
    files: dict[str, str] = {}
    unknown, root = 0, _media_root(folder)
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
    if lidar := _find_lidar(samples):
        _require_one_scene(folder, rgb[0].path, lidar.path)
        span = lidar.depth_span
        member = f"samples.json{SEPARATOR}{span[0]}-{span[1]}" if span else _require_inside(folder, root, lidar.path)
        pair[f"{CLASSES[label]}/lidar/{scene:04d}.npy"] = member
    return pair


def _common_value(folder: Path, samples: list[Sample], name: str) -> int | None:
    """Return the value of a field in those samples of a group that have it; raises DataError where they differ."""
    values = {getattr(sample, name) for sample in samples} - {None}
    if len(values) > 1:
        found = f"{name} {' and '.join(map(str, sorted(values)))} in one group, with {samples[0].path}"
        raise DataError(Issue("contradiction", folder / "samples.json", found, "one", "fix it and export again"))
    return next(iter(values), None)


def _find_lidar(samples: list[Sample]) -> Sample | None:
    """Return the sample that holds the ranges of a group: exact ones if there are any, else points."""
    candidates = [sample for sample in samples if sample.depth_span]
    for suffix in (".npy", *CLOUD_SUFFIXES):
        candidates += [sample for sample in samples if sample.path.lower().endswith(suffix)]
    return candidates[0] if candidates else None


def _require_one_scene(folder: Path, rgb: str, lidar: str) -> None:
    """Raise DataError for a picture and ranges whose paths name different scenes: two listings joined unsorted."""
    if files_differ(rgb, lidar):
        found, hint = f"{rgb} and {lidar} in one group", "join the files by class and number and export again"
        raise DataError(Issue("contradiction", folder / "samples.json", found, "files of one scene and class", hint))


def _media_root(folder: Path) -> Path:
    """Return the folder, resolved, that links in an export may lead to: its own, or its repository's in a hub's cache.

    Hugging Face's cache has a folder `snapshots` of links into the folder `blobs` beside it.
    """
    homes = (parent.parent for parent in (folder, *folder.parents) if parent.name == "snapshots")
    return next((home for home in homes if (home / "blobs").is_dir()), folder).resolve()


def _require_inside(folder: Path, root: Path, path: str) -> str:
    """Return a path of samples.json; raises DataError where it leads out of the folder, or by a link out of `root`."""
    parts = PurePosixPath(path)
    try:
        inside = (folder / parts).resolve().is_relative_to(root)
    except (ValueError, OSError, RuntimeError):  # text that no file system accepts, or a link to itself
        inside = False
    outside = not inside or parts.is_absolute() or ".." in parts.parts or re.match("[A-Za-z]:", path)
    if outside or SEPARATOR in path:
        hint = "export it again with export_media=True"
        raise DataError(Issue("outside", folder / "samples.json", f"the path {path}", "one inside the folder", hint))
    return path


# --- angles


def _read_angles(folder: Path, info: dict[str, Any]) -> dict[str, AngleFile]:
    """Return raw path -> angle file: from the data set's info, else from beside it. Both may lack some."""
    files = {}
    for angle in ANGLES:
        shared = _read_angle_file(folder, angle)
        for label, name in enumerate(CLASSES):
            key = _find_angles(info, angle, label)
            if file := _encode_angles(folder, info, key) if key else shared:
                files[f"{name}/{angle}.npy"] = file
    return files


def _find_angles(info: dict[str, Any], angle: str, label: int) -> str | None:
    """Return the key of an angle for one class: of its own, such as `azimuth_cubes` or `cube.azimuth`, else of both."""
    words = {key: set(re.findall("[a-z]+", key.lower())) for key in info}
    wanted = {angle, CLASSES[label]}, {angle, CLASS_NAMES[label]}, {angle}
    return next((key for each in wanted for key in info if words[key] == each), None)


def _encode_angles(folder: Path, info: dict[str, Any], key: str) -> AngleFile:
    try:
        return AngleFile(f"metadata.json{SEPARATOR}{key}", npy_bytes(np.array(info[key], np.float32)))
    except (ValueError, TypeError, OverflowError) as error:
        raise not_an_export(folder / "metadata.json", f"{key}: {error}") from None


def _read_angle_file(folder: Path, angle: str) -> AngleFile | None:
    """Return the angle file in the folder or in those of its classes, which have one sensor."""
    members = [f"{angle}.npy", *(f"{name}/{angle}.npy" for name in CLASSES)]
    contents = {read_bytes(folder / member): member for member in members if (folder / member).is_file()}
    if len(contents) > 1:
        first, second, *_ = (folder / member for member in contents.values())
        hint = "give the files of one sensor"
        raise DataError(Issue("angles-differ", second, "other angles", f"those of {first}", hint))
    return next((AngleFile(member, content) for content, member in contents.items()), None)


# --- one frame


def _reader(
    folder: Path, files: dict[str, str], angles: dict[str, AngleFile], camera_view: bool
) -> Callable[[str], bytes]:
    """Return the function from a member to its bytes; `camera_view`: depth maps are oriented as the RGB is."""
    class_names = {member: raw_path.partition("/")[0] for raw_path, member in files.items()}
    contents = {file.member: file.content for file in angles.values()}

    def read(member: str) -> bytes:
        if member in contents:
            return contents[member]
        file, separator, span = member.partition(SEPARATOR)
        if separator:
            return _read_heatmap(folder / file, span, camera_view)
        if file.lower().endswith(CLOUD_SUFFIXES):
            return _read_cloud(folder / file, [angles.get(f"{class_names[member]}/{angle}.npy") for angle in ANGLES])
        return read_bytes(folder / file)

    return read


def _read_heatmap(path: Path, span: str, camera_view: bool) -> bytes:
    """Return the depth map in a span of samples.json, `first byte-last byte + 1`, as the bytes of an .npy file."""
    start, stop = map(int, span.split("-"))
    with path.open("rb") as file:
        file.seek(start)
        text = file.read(stop - start)
    try:
        packed = base64.b64decode(json.loads(text)["depth"]["map"]["$binary"]["base64"], validate=True)
        content = zlib.decompressobj().decompress(packed, MAX_FRAME_BYTES)
    except (ValueError, KeyError, TypeError, zlib.error) as error:
        raise not_an_export(path, f"no depth map at byte {start:,}: {error}") from None
    depth = parse_depth(path.with_name(f"{path.name}{SEPARATOR}{span}"), content)
    return npy_bytes(from_camera_view(depth) if camera_view else depth)


def _read_cloud(path: Path, angles: list[AngleFile | None]) -> bytes:
    """Return the ranges of a .pcd file, or of the one in an .fo3d scene, as the bytes of an .npy file."""
    if path.suffix.lower() == ".fo3d":
        match = re.search(rb'"pcdPath":\s*"([^"]+)"', read_bytes(path))
        if not match:
            raise not_an_export(path, "no point cloud")
        name = match[1].decode("utf-8", "replace")
        path = path.parent / _require_inside(path.parent, _media_root(path.parent), name)
    grids = [parse_angle(path, file.content) for file in angles if file]
    if len(grids) < len(ANGLES):
        expected = "angles to place the points by"
        hint = "put azimuth.npy and zenith.npy beside metadata.json; a simulated set has those of the course's LiDAR"
        raise DataError(Issue("no-angles", path, "points alone", expected, hint))
    return npy_bytes(depth_from_points(path, read_pcd(path, read_bytes(path)), *grids))

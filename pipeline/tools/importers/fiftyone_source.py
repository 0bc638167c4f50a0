"""A grouped FiftyOneDataset folder as a source, read without FiftyOne: ours gives back the bytes it was made of.

Its samples.json is somebody else's text, as long as it likes: it is read piece by piece, no path in it leads out of
the folder, and nothing in it is unpacked further than a frame goes.
"""

import base64
import json
import re
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path, PurePosixPath
from typing import Any, NamedTuple

import numpy as np

from pipeline.core.sensors import ANGLES, CLASS_NAMES, CLASSES, IMAGE_SIZE
from pipeline.raw.format import DataError, Issue, parse_angle, parse_depth, read_bytes
from pipeline.render.images import from_camera_view
from pipeline.tools.importers.pointcloud import depth_from_points, read_pcd
from pipeline.tools.importers.source import Source, digest, npy, stamp

PIECE = 1 << 20  # bytes of samples.json read at a time
MAX_INFO_BYTES = 16 << 20  # bytes of metadata.json, which holds saved views and the like too
MAX_SAMPLES_BYTES = 1_000_000
REBUILT = "ranges are rebuilt from points in space: equal to about 1e-5 of a unit, not to the bit"
MARK = "#"  # between a JSON file and what is meant in it
CLOUDS = (".pcd", ".fo3d")
FRAME = 4 * IMAGE_SIZE * IMAGE_SIZE + 1024  # bytes that an array of one frame can take, with its header
CLASS_FIELDS = ("label", "ground_truth")  # looked at first; a prediction is nobody's class


class Sample(NamedTuple):
    """What is known at once of a sample of samples.json."""

    group: str
    slice: str
    path: str
    label: int | None
    scene: int | None
    text: tuple[int, int] | None  # where its text stands in bytes, if that holds a depth map


def open_fiftyone(folder: Path) -> Source | None:
    """The pairs of a FiftyOneDataset folder; None if it is not one. Raises DataError if it is and holds no pairs.

    A pair is a group with a PNG picture (slice `rgb`, or the only one) and ranges: a heatmap `depth`, an .npy file, or
    a point cloud. Its class is a classification, tag or part of a path that names cubes or spheres; its scene is the
    field `scene`, else the first number in the picture's name.
    """
    if not all((folder / name).is_file() for name in ("metadata.json", "samples.json")):
        return None
    info = _info(folder / "metadata.json")
    groups: dict[str, list[Sample]] = {}
    for sample in _samples(folder / "samples.json"):
        groups.setdefault(sample.group, []).append(sample)
    files, notes, unknown = {}, [], 0
    home = folder.resolve()
    for samples in groups.values():
        found = _pair(folder, home, samples)
        unknown += not found
        for contract, inside in found.items():
            if files.setdefault(contract, inside) != inside:
                where = folder / "samples.json"
                raise DataError(Issue("twice", where, f"two groups for {contract}", "one", "remove one of them"))
    if not files:
        expected = "groups of a PNG picture and LiDAR ranges, of class cube or sphere"
        raise DataError(Issue("no-set", folder, "no such groups", expected, "export them with their media"))
    if unknown:
        notes.append(f"{unknown:,} groups that name no class, scene or picture are passed over")
    if any(inside.lower().endswith(CLOUDS) for inside in files.values()):
        notes.append(REBUILT)
    media = [inside for inside in files.values() if MARK not in inside]
    angles = _angles(folder, info)
    files |= {f"{name}/{angle}.npy": f"metadata.json{MARK}{angle}" for name in CLASSES for angle in angles}
    stamps = (stamp(folder / name) for name in ("metadata.json", "samples.json", *media))
    identity = digest([str(home), *files.items(), *stamps])
    read = _reader(folder, angles, turned=bool(info.get("depth_turned")))
    return Source(f"FiftyOne data set {folder}", files, read, identity, tuple(notes), f"{folder}/")


# --- what is in it


def _info(path: Path) -> dict[str, Any]:
    if (size := path.stat().st_size) > MAX_INFO_BYTES:
        fix = "export the data set without saved views and runs"
        raise DataError(Issue("too-large", path, f"{size:,} bytes", f"at most {MAX_INFO_BYTES:,}", fix))
    try:
        info = json.loads(path.read_bytes()).get("info")
    except (ValueError, AttributeError, RecursionError) as error:
        raise _broken(path, error) from None
    return info if isinstance(info, dict) else {}


def _samples(path: Path) -> Iterator[Sample]:
    for count, (start, stop, fields) in enumerate(_objects(path)):
        if count >= MAX_SAMPLES_BYTES:
            raise DataError(
                Issue("too-many", path, f"over {MAX_SAMPLES_BYTES:,} samples", "fewer", "export a part of them")
            )
        try:
            group = fields["group"]
            scene, tags = fields.get("scene"), fields.get("tags") or []
            yield Sample(
                str(group["_id"]),
                str(group["name"]),
                str(fields["filepath"]),
                _label(fields, [str(tag) for tag in tags]),
                scene if isinstance(scene, int) else None,
                (start, stop) if "depth" in fields and fields["depth"] else None,
            )
        except (KeyError, TypeError) as error:
            raise _broken(path, f"a sample without {error}; is it a grouped data set?") from None


def _objects(path: Path) -> Iterator[tuple[int, int, dict]]:
    """Every object of the list `samples`, and where its bytes begin and end; one at a time is in memory."""
    decoder, done = json.JSONDecoder(), 0
    with path.open("rb") as file:
        text = file.read(PIECE).decode("latin-1")  # a character a byte, so that places in both are the same
        head = re.match(r'\s*{\s*"samples"\s*:\s*\[', text)
        if not head:
            raise _broken(path, f"{text[:40]!r}")
        text, done = text[head.end() :], head.end()
        while True:
            skipped = len(text) - len(text.lstrip(" \n\r\t,"))
            text, done = text[skipped:], done + skipped
            if text.startswith("]"):
                return
            try:
                _, end = decoder.raw_decode(text)
                fields = json.loads(text[:end].encode("latin-1"))
            except (ValueError, RecursionError) as error:
                more = file.read(PIECE) if len(text) <= 4 * PIECE else b""
                if not more:
                    raise _broken(path, error) from None
                text += more.decode("latin-1")
                continue
            yield done, done + end, fields
            text, done = text[end:], done + end


def _label(fields: dict[str, Any], tags: list[str]) -> int | None:
    """The class that a sample names; what has a confidence is a net's word."""
    others = [name for name in fields if name not in CLASS_FIELDS and not name.startswith("prediction")]
    labels = [fields[name] for name in (*CLASS_FIELDS, *others) if isinstance(fields.get(name), dict)]
    told = [label.get("label") for label in labels if label.get("confidence") is None]
    parts = PurePosixPath(str(fields.get("filepath"))).parts
    for word in (*told, *tags, *parts):
        for label in range(len(CLASSES)):
            if str(word).lower() in (CLASSES[label], CLASS_NAMES[label]):
                return label
    return None


def _pair(folder: Path, home: Path, samples: list[Sample]) -> dict[str, str]:
    """Contract name -> what `_reader` reads, of one group; empty where it has no class, scene or picture."""
    pictures = [sample for sample in samples if sample.path.lower().endswith(".png")]
    plain = [sample for sample in pictures if not sample.text]  # others are depth maps in colour
    named = [sample for sample in pictures if sample.slice == "rgb"] or (plain if len(plain) == 1 else [])
    label = _agreed(folder, samples, "label")
    if not named or label is None:
        return {}
    number, scene = re.search(r"\d+", PurePosixPath(named[0].path).stem), _agreed(folder, samples, "scene")
    if scene is None and number:
        scene = int(number[0][:10])
    if scene is None or not 0 <= scene < 10**9:
        return {}
    found = {f"{CLASSES[label]}/rgb/{scene:04d}.png": _inside(folder, home, named[0].path)}
    ranges = _ranges_of(folder, home, samples)
    return found | ({f"{CLASSES[label]}/lidar/{scene:04d}.npy": ranges} if ranges else {})


def _agreed(folder: Path, samples: list[Sample], name: str) -> int | None:
    """What those samples of a group say that say something; raises DataError where they differ."""
    told = {getattr(sample, name) for sample in samples} - {None}
    if len(told) > 1:
        found = f"{name} {' and '.join(map(str, sorted(told)))} in one group, with {samples[0].path}"
        raise DataError(Issue("contradiction", folder / "samples.json", found, "one", "mend it and export again"))
    return next(iter(told), None)


def _ranges_of(folder: Path, home: Path, samples: list[Sample]) -> str | None:
    """Where the ranges of a group stand; the exact ones first."""
    maps = (sample.text for sample in samples if sample.text)
    if text := next(maps, None):
        return f"samples.json{MARK}{text[0]}-{text[1]}"
    for suffix in (".npy", *CLOUDS):
        for sample in samples:
            if sample.path.lower().endswith(suffix):
                return _inside(folder, home, sample.path)
    return None


def _inside(folder: Path, home: Path, path: str) -> str:
    """A path of samples.json; raises DataError where it leads out of the folder, whose resolved path is `home`."""
    parts = PurePosixPath(path)
    try:
        within = (folder / parts).resolve().is_relative_to(home)
    except (ValueError, OSError, RuntimeError):  # no text that a file system takes, or a link to itself
        within = False
    if not within or parts.is_absolute() or ".." in parts.parts or MARK in path:
        fix = "export it again with export_media=True"
        raise DataError(Issue("outside", folder / "samples.json", f"the path {path}", "one inside the folder", fix))
    return path


def _angles(folder: Path, info: dict[str, Any]) -> dict[str, bytes]:
    """Angle files by name: from the data set's info, else from files beside it; the importer tells of an absent one."""
    found = {}
    for angle in ANGLES:
        if angle in info:
            try:
                found[angle] = npy(np.array(info[angle], np.float32))
            except (ValueError, TypeError, OverflowError) as error:
                raise _broken(folder / "metadata.json", error) from None
        elif beside := _beside(folder, angle):
            found[angle] = beside
    return found


def _beside(folder: Path, angle: str) -> bytes | None:
    """An angle file in the folder or in those of its classes, which have one sensor."""
    paths = [folder / f"{angle}.npy", *(folder / name / f"{angle}.npy" for name in CLASSES)]
    read = {read_bytes(path): path for path in paths if path.is_file()}
    if len(read) > 1:
        first, second, *_ = read.values()
        fix = "give the files of one sensor"
        raise DataError(Issue("angles-differ", second, "other angles", f"those of {first}", fix))
    return next(iter(read), None)


# --- one frame


def _reader(folder: Path, angles: dict[str, bytes], turned: bool) -> Callable[[str], bytes]:
    def read(inside: str) -> bytes:
        file, marked, name = inside.partition(MARK)
        if marked:
            return angles[name] if name in angles else _depth(folder / file, *map(int, name.split("-")), turned)
        return _ranges(folder / file, angles) if file.lower().endswith(CLOUDS) else read_bytes(folder / file)

    return read


def _depth(path: Path, start: int, stop: int, turned: bool) -> bytes:
    """The depth map in a part of samples.json, as np.save writes it."""
    with path.open("rb") as file:
        file.seek(start)
        text = file.read(stop - start)
    try:
        packed = base64.b64decode(json.loads(text)["depth"]["map"]["$binary"]["base64"], validate=True)
        data = zlib.decompressobj().decompress(packed, FRAME)
    except (ValueError, KeyError, TypeError, zlib.error) as error:
        raise _broken(path, f"no depth map at byte {start:,}: {error}") from None
    depth = parse_depth(path.with_name(f"{path.name}{MARK}{start}-{stop}"), data)
    return npy(from_camera_view(depth) if turned else depth)


def _ranges(path: Path, angles: dict[str, bytes]) -> bytes:
    """The ranges of a .pcd file, or of the one in an .fo3d scene."""
    if path.suffix.lower() == ".fo3d":
        found = re.search(rb'"pcdPath":\s*"([^"]+)"', read_bytes(path))
        if not found:
            raise _broken(path, "no point cloud")
        path = path.parent / _inside(path.parent, path.parent.resolve(), found[1].decode("utf-8", "replace"))
    if set(angles) != set(ANGLES):
        expected, fix = "angles to place the points by", "put azimuth.npy and zenith.npy beside metadata.json"
        raise DataError(Issue("no-angles", path, "points alone", expected, fix))
    grid = [parse_angle(path, angles[name]) for name in ANGLES]
    return npy(depth_from_points(path, read_pcd(path, read_bytes(path)), *grid))


def _broken(path: Path, reason: object) -> DataError:
    found = " ".join(str(reason).split())[:200]
    return DataError(Issue("not-fiftyone", path, found, "what FiftyOne exports", "export the data set again"))

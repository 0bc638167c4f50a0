"""The raw folder contract: list pairs, read one, say all that is wrong with a folder. No torch, no writing.

FOLDER/{cubes,spheres}/{rgb/0000.png, lidar/0000.npy, azimuth.npy, zenith.npy}; an index is a scene in both.
"""

import io
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from pipeline.errors import PipelineError

CLASSES = ("cubes", "spheres")  # the index is the label
NAMES = ("cube", "sphere")  # of one object
SIZE = 64  # pixels, rows and columns of both sensors
NO_RETURN = 50.0  # Omniverse units; the LiDAR's longest range, written where nothing came back

SENSORS = {"rgb": ".png", "lidar": ".npy"}
ANGLES = ("azimuth", "zenith")
SHOWN = 20  # faults printed before the rest is only counted


@dataclass(frozen=True)
class Fault:
    """One thing wrong with a raw folder, in words that end in what to do about it."""

    path: Path
    found: str
    expected: str
    fix: str

    def __str__(self) -> str:
        return f"{self.path}: found {self.found}; expected {self.expected}; {self.fix}"


class DataError(PipelineError, ValueError):
    """Data breaks the contract. Made of its faults, one to a line; a long list is cut and counted."""

    def __str__(self) -> str:
        hidden = len(self.args) - SHOWN
        more = [f"... and {hidden:,} more"] if hidden > 0 else []
        return "\n".join([*map(str, self.args[:SHOWN]), *more])


class Pair(NamedTuple):
    """One object as both sensors saw it. Equal scene means equal position and colour in the other class."""

    rgb: Path
    lidar: Path
    label: int  # index into CLASSES
    scene: int


def pair_at(folder: Path, label: int, scene: int) -> Pair:
    """Where the contract puts this pair, whether or not it is there."""
    home, stem = folder / CLASSES[label], f"{scene:04d}"
    return Pair(home / "rgb" / f"{stem}.png", home / "lidar" / f"{stem}.npy", label, scene)


def list_pairs(folder: Path) -> list[Pair]:
    """Pairs that have both files, by (label, scene). Opens no file and skips the unpaired: `check` first.

    Raises DataError when a class has no rgb or lidar folder.
    """
    homes = [folder / name for name in CLASSES]
    absent = [home / sensor for home in homes for sensor in SENSORS if not (home / sensor).is_dir()]
    if absent:
        raise DataError(*map(_no_folder, absent))
    both = [sorted(_scenes(home, "rgb") & _scenes(home, "lidar")) for home in homes]
    return [pair_at(folder, label, scene) for label, scenes in enumerate(both) for scene in scenes]


def read_rgb(path: Path) -> NDArray[np.uint8]:
    """(64, 64, 4) uint8 RGBA, background (0, 0, 0). Raises DataError when unreadable or otherwise shaped."""
    image = _parsed(path, _open_png)
    found, expected = f"{image.format} {image.mode} {image.width}x{image.height}", f"PNG RGBA {SIZE}x{SIZE}"
    _demand(path, found == expected, found, expected, "convert or replace it")
    return np.array(image)


def read_depth(path: Path) -> NDArray[np.float32]:
    """(64, 64) float32, range along the ray in [0, 50] Omniverse units, 50 = no return. Raises DataError."""
    depth = _read_array(path, (SIZE, SIZE))
    found, holds = f"ranges {depth.min():g} .. {depth.max():g}", (depth >= 0) & (depth <= NO_RETURN)
    _demand(path, holds.all(), found, f"0 .. {NO_RETURN:g}", "write 50 for no return")
    return depth


def read_angles(folder: Path, name: str) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Azimuth (64,) of one class's rows, zenith (64,) of its columns; float32 radians. Raises DataError."""
    return _read_angle(folder / name / "azimuth.npy"), _read_angle(folder / name / "zenith.npy")


def check(folder: Path) -> list[Pair]:
    """The pairs of a folder that keeps the contract, every file read. Raises DataError listing the faults."""
    if found := faults(folder):
        raise DataError(*found)
    return list_pairs(folder)


def faults(folder: Path) -> list[Fault]:
    """All that is wrong with a raw folder, structure first, then file by file; empty when nothing is."""
    if not folder.is_dir():
        return [_no_folder(folder)]
    found = list(_stray(folder, CLASSES))
    for name in CLASSES:
        found += _class_faults(folder / name) if (folder / name).is_dir() else [_no_folder(folder / name)]
    if all((folder / name).is_dir() for name in CLASSES):
        found += [*_uneven_classes(folder), *_unlike_angles(folder)]
    return found + list(_unreadable_files(folder))


# --- structure: names and counts, no file opened


def _scenes(home: Path, sensor: str) -> set[int]:
    """Scene numbers of the well-named files of one sensor; empty when the folder is missing."""
    inside = (home / sensor).glob(f"*{SENSORS[sensor]}")
    return {int(path.stem) for path in inside if _well_named(path)}


def _well_named(path: Path) -> bool:  # 00001 would double 0001
    return path.stem.isdecimal() and path.stem == f"{int(path.stem):04d}"


def _no_folder(path: Path) -> Fault:
    return Fault(path, "a file" if path.exists() else "nothing", "a folder", "restore it or simulate a set")


def _stray(folder: Path, known: tuple[str, ...]) -> Iterator[Fault]:
    for path in sorted(folder.iterdir()):
        if path.name not in known:
            yield Fault(path, "a stray file or folder", f"only {', '.join(known)}", "move it out of the data")


def _class_faults(home: Path) -> Iterator[Fault]:
    yield from _stray(home, (*SENSORS, *(f"{angle}.npy" for angle in ANGLES)))
    for sensor in SENSORS:
        yield from _name_faults(home / sensor) if (home / sensor).is_dir() else [_no_folder(home / sensor)]
    rgb, lidar = _scenes(home, "rgb"), _scenes(home, "lidar")
    yield from _unpaired(home, rgb, lidar)
    yield from _gaps(home, sorted(rgb | lidar))
    if not rgb & lidar:
        yield Fault(home, "no pairs", "at least one rgb file with its lidar file", "copy the set again")


def _name_faults(folder: Path) -> Iterator[Fault]:
    suffix = SENSORS[folder.name]
    for path in sorted(folder.iterdir()):
        if path.suffix != suffix:
            yield Fault(path, "a stray file or folder", f"only 0000{suffix} and so on", "move it out")
        elif not _well_named(path):
            yield Fault(path, f"the name {path.stem}", "four digits, from 10000 on more", "rename it")


def _unpaired(home: Path, rgb: set[int], lidar: set[int]) -> Iterator[Fault]:
    for scene in sorted(rgb ^ lidar):
        has, lacks = ("rgb", "lidar") if scene in rgb else ("lidar", "rgb")
        path, other = (home / sensor / f"{scene:04d}{SENSORS[sensor]}" for sensor in (lacks, has))
        yield Fault(path, "nothing", f"the partner of {other}", "restore it or remove the partner")


def _gaps(home: Path, scenes: list[int]) -> Iterator[Fault]:
    for before, after in zip([-1, *scenes], scenes, strict=False):
        if after != before + 1:
            run = f"{before + 1:04d}" if after == before + 2 else f"{before + 1:04d} .. {after - 1:04d}"
            yield Fault(home, f"a gap at {run}", "every number from 0000 on", "restore the missing pairs")


def _uneven_classes(folder: Path) -> Iterator[Fault]:
    counts = {name: len(_scenes(folder / name, "rgb") | _scenes(folder / name, "lidar")) for name in CLASSES}
    if len(set(counts.values())) > 1:
        found = ", ".join(f"{count:,} {name}" for name, count in counts.items())
        yield Fault(folder, found, "as many of each: one index is one scene", "complete the shorter class")


# --- contents


def _unlike_angles(folder: Path) -> Iterator[Fault]:
    """Both classes come from one sensor; faults of a single angle file are told here too."""
    for angle in ANGLES:
        paths = [folder / name / f"{angle}.npy" for name in CLASSES]
        told = [fault for path in paths for fault in _faults_of(_read_angle, path)]
        yield from told
        if not told and not np.array_equal(*map(_read_angle, paths)):
            yield Fault(paths[1], "other angles", f"those of {paths[0]}", "give both the files of one sensor")


def _unreadable_files(folder: Path) -> Iterator[Fault]:
    """Every well-named file, paired or not, so that one pass tells all."""
    for label, name in enumerate(CLASSES):
        for scene in sorted(_scenes(folder / name, "rgb")):
            yield from _faults_of(read_rgb, pair_at(folder, label, scene).rgb)
        for scene in sorted(_scenes(folder / name, "lidar")):
            yield from _faults_of(read_depth, pair_at(folder, label, scene).lidar)


def _faults_of(read: Callable[[Path], Any], path: Path) -> list[Fault]:
    try:
        read(path)
    except DataError as error:
        return list(error.args)
    return []


# --- one file


def _parsed(path: Path, parse: Callable[[bytes], Any]) -> Any:
    try:
        return parse(path.read_bytes())
    except Exception as error:  # foreign bytes make the parsers raise almost anything, SyntaxError included
        reason = "nothing" if isinstance(error, FileNotFoundError) else f"{type(error).__name__} {error}"
        reason = re.sub(r" <_io.BytesIO object at 0x\w+>", "", reason)  # says nothing, and another thing each time
        raise DataError(Fault(path, " ".join(reason.split()), "a readable file", "restore it")) from error


def _open_png(content: bytes) -> Image.Image:
    with Image.open(io.BytesIO(content)) as image:
        image.verify()  # every checksum to the end; load() alone lets a missing tail pass
    image = Image.open(io.BytesIO(content))  # again: verify() leaves an image that cannot be read
    if image.size == (SIZE, SIZE):  # another size is refused undecoded, however large
        image.load()
    return image


def _read_array(path: Path, shape: tuple[int, ...]) -> NDArray[np.float32]:
    array = _parsed(path, lambda content: np.load(io.BytesIO(content), allow_pickle=False))
    found = f"{array.dtype} {array.shape}" if isinstance(array, np.ndarray) else "an archive of arrays"
    expected = f"float32 {shape}"
    _demand(path, found == expected, found, expected, "save one array of that type and shape")
    _demand(path, np.isfinite(array).all(), "NaN or infinite values", "finite values", "restore or mend it")
    return array


def _read_angle(path: Path) -> NDArray[np.float32]:
    angles = _read_array(path, (SIZE,))
    found = f"angles {angles.min():g} .. {angles.max():g}"
    _demand(path, (np.abs(angles) <= np.pi).all(), found, "radians within +-pi", "convert degrees to radians")
    return angles


def _demand(path: Path, holds: bool | np.bool, found: str, expected: str, fix: str) -> None:
    if not holds:
        raise DataError(Fault(path, found, expected, fix))

"""The raw folder contract, and how one file of it is read. No torch, no writing.

FOLDER/{cubes,spheres}/{rgb/0000.png, lidar/0000.npy, azimuth.npy, zenith.npy}; an index is a scene in both.
Nothing that a file claims is believed before it is looked at: no unpickling, no memory for more than a frame.
"""

import io
import os
import stat
import struct
import zlib
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from pipeline.core.errors import PipelineError, printable
from pipeline.core.sensors import CLASSES, IMAGE_SIZE, NO_RETURN

MAX_LISTED = 20  # faults printed before the rest is only counted
MAX_BYTES = 1 << 20  # bytes of a file; a frame has 16 KB, and what is over a megabyte is not read
# what harms no training: told, and passed over
WARNINGS = frozenset(
    {"stray", "nested", "gap", "imbalance", "no-return", "black", "duplicate", "near-duplicate", "no-split"}
)

PIXELS = IMAGE_SIZE * (1 + 4 * IMAGE_SIZE)  # bytes of a picture's data: every line starts with the name of its filter
PNG = b"\x89PNG\r\n\x1a\n"
NPY = b"\x93NUMPY"
COLOURS = {0: "L", 2: "RGB", 3: "P", 4: "LA", 6: "RGBA"}  # of PNG's header
FILE_KINDS = {  # what people find under the wrong name
    PNG: "a PNG picture",
    NPY: "a NumPy array",
    b"PK": "a zip archive (of arrays, where np.savez wrote it)",
    b"\xff\xd8\xff": "a JPEG picture",
    b"II*\0": "a TIFF picture",
    b"MM\0*": "a TIFF picture",
    b"GIF8": "a GIF picture",
    b"RIFF": "a WebP picture",
    b"version https://git-lfs": "a Git LFS pointer, not the file itself",
    b"<": "a web page",
    b"\x80": "a pickle",
}


@dataclass(frozen=True)
class Issue:
    """One thing wrong with a raw folder, in words that end in what to do about it.

    `scenes` are those that cannot be used because of it: none for a file that belongs to no scene, and None for a
    fault of the folder as a whole.
    """

    kind: str
    path: Path
    found: str
    expected: str
    fix: str
    scenes: range | None = None

    def __str__(self) -> str:
        return printable(f"{self.path}: found {self.found}; expected {self.expected}; {self.fix}")

    @property
    def severity(self) -> str:
        """`error`: pairs cannot be used as they are. `warning`: they can."""
        return "warning" if self.kind in WARNINGS else "error"


class DataError(PipelineError, ValueError):
    """Data breaks the contract. Made of its faults, one to a line; a long list is cut and counted."""

    def __str__(self) -> str:
        hidden = len(self.args) - MAX_LISTED
        more = [f"... and {hidden:,} more"] if hidden > 0 else []
        return "\n".join([*map(str, self.args[:MAX_LISTED]), *more])


class Pair(NamedTuple):
    """One object as both sensors saw it. Equal scene means equal position and colour in the other class."""

    rgb: Path
    lidar: Path
    label: int  # index into CLASSES
    scene: int


def require_absent(folder: Path) -> None:
    """Raises DataError where something stands in the way of a new folder: nothing is ever overwritten."""
    if os.path.lexists(folder):
        raise DataError(Issue("taken", folder, "something there already", "a new name", "choose another or remove it"))


def pair_at(folder: Path, label: int, scene: int) -> Pair:
    """Where the contract puts this pair, whether or not it is there."""
    home = f"{folder}/{CLASSES[label]}"  # one parse instead of five: this is called for every frame
    return Pair(Path(f"{home}/rgb/{scene:04d}.png"), Path(f"{home}/lidar/{scene:04d}.npy"), label, scene)


def read_rgb(path: Path) -> NDArray[np.uint8]:
    """(64, 64, 4) uint8 RGBA, background (0, 0, 0). Raises DataError when unreadable or otherwise shaped."""
    return parse_rgb(path, read_bytes(path))


def read_depth(path: Path) -> NDArray[np.float32]:
    """(64, 64) float32, range along the ray in (0, 50] Omniverse units, 50 = no return. Raises DataError."""
    return parse_depth(path, read_bytes(path))


def read_angle(path: Path) -> NDArray[np.float32]:
    """The angles of rows or columns: (64,) float32 radians, rising or falling. Raises DataError."""
    return parse_angle(path, read_bytes(path))


def read_angles(folder: Path, name: str) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Azimuth (64,) of one class's rows, zenith (64,) of its columns; float32 radians. Raises DataError."""
    return read_angle(folder / name / "azimuth.npy"), read_angle(folder / name / "zenith.npy")


def read_bytes(path: Path) -> bytes:
    """The bytes of a regular file of at most a megabyte; raises DataError. A pipe or device is not waited for."""
    try:
        handle = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    except FileNotFoundError:
        raise DataError(Issue("missing", path, "nothing", "a readable file", "restore it")) from None
    except OSError as error:
        fix = "mend its permissions or restore it"
        raise DataError(Issue("unreadable", path, str(error.strerror), "a readable file", fix)) from None
    try:
        _demand_file(path, os.fstat(handle))
        return os.read(handle, MAX_BYTES)
    except OSError as error:
        raise DataError(Issue("unreadable", path, str(error.strerror), "a readable file", "restore it")) from None
    finally:
        os.close(handle)


def _demand_file(path: Path, status: os.stat_result) -> None:
    if not stat.S_ISREG(status.st_mode):
        what = "a folder" if stat.S_ISDIR(status.st_mode) else "a pipe, socket or device"
        raise DataError(Issue("not-a-file", path, what, "a readable file", "put the file in its place"))
    if not status.st_size:
        raise DataError(Issue("empty", path, "0 bytes", "a readable file", "restore it"))
    if status.st_size > MAX_BYTES:
        found = f"{status.st_size:,} bytes"
        raise DataError(Issue("too-large", path, found, f"at most {MAX_BYTES:,}", "put one frame of 64x64 there"))


def parse_rgb(path: Path, content: bytes) -> NDArray[np.uint8]:
    """`read_rgb` of a file whose bytes are at hand; `path` is for the message."""
    _demand_magic(path, content, PNG)
    if len(content) < 33:  # signature and header
        raise DataError(Issue("truncated", path, f"{len(content)} bytes", "a whole PNG file", "restore it"))
    width, height, bits, colour = struct.unpack(">IIBB", content[16:26])
    found = f"PNG {COLOURS.get(colour, colour)} {bits} bit {width}x{height}"
    expected, fix = f"PNG RGBA 8 bit {IMAGE_SIZE}x{IMAGE_SIZE}", "convert or replace it"
    if (width, height) != (IMAGE_SIZE, IMAGE_SIZE):  # refused undecoded, however large
        raise DataError(Issue("size", path, found, expected, fix))
    if (bits, colour) != (8, 6):
        raise DataError(Issue("mode", path, found, expected, fix))
    if b"IEND" not in content[-12:]:
        found = f"{len(content)} bytes that do not end as a PNG file does"
        raise DataError(Issue("truncated", path, found, "a whole PNG file", "restore it"))
    if len(_pixels(path, content, 2 * PIXELS)) == 2 * PIXELS:
        found = f"over {2 * PIXELS:,} bytes of pixels"
        raise DataError(Issue("bomb", path, found, f"{PIXELS:,}", "throw it away and restore the picture"))
    try:
        return np.array(Image.open(io.BytesIO(content), formats=("PNG",)))
    except Exception as error:  # foreign bytes make the parser raise almost anything, SyntaxError included
        raise _damaged(path, error) from error


def _pixels(path: Path, content: bytes, most: int) -> bytes:
    """The first `most` bytes of a PNG file's unpacked data. Checks what Pillow passes over: every chunk's checksum."""
    packed, place = [], len(PNG)
    try:
        while place < len(content):
            size, kind = struct.unpack_from(">I4s", content, place)
            end = place + 8 + size
            if struct.unpack_from(">I", content, end)[0] != zlib.crc32(content[place + 4 : end]):
                raise ValueError(f"a wrong checksum in its part {kind.decode('latin-1')}")
            if kind == b"IDAT":
                packed.append(content[place + 8 : end])
            place = end + 4
        return zlib.decompressobj().decompress(b"".join(packed), most)
    except (struct.error, ValueError, zlib.error) as error:
        raise _damaged(path, error) from error


def _damaged(path: Path, error: Exception) -> DataError:
    return DataError(Issue("damaged", path, " ".join(str(error).split()), "a readable file", "restore it"))


def parse_depth(path: Path, content: bytes) -> NDArray[np.float32]:
    """`read_depth` of a file whose bytes are at hand."""
    depth = _parse_array(path, content, (IMAGE_SIZE, IMAGE_SIZE))
    low, high = depth.min(), depth.max()
    if low > 0 and high <= NO_RETURN:
        return depth
    wrong = {"negative": depth < 0, "zero-range": depth == 0, "beyond-range": depth > NO_RETURN}
    kind = next(kind for kind, pixels in wrong.items() if pixels.any())
    found = f"ranges {low:g} .. {high:g}, {int(wrong[kind].sum())} of them {kind}"
    expected = f"over 0 and up to {NO_RETURN:g}"
    raise DataError(Issue(kind, path, found, expected, f"write {NO_RETURN:g} for no return"))


def parse_angle(path: Path, content: bytes) -> NDArray[np.float32]:
    """`read_angle` of a file whose bytes are at hand."""
    angles = _parse_array(path, content, (IMAGE_SIZE,))
    found = f"angles {angles.min():g} .. {angles.max():g}"
    if (np.abs(angles) > np.pi).any():
        raise DataError(Issue("not-radians", path, found, "radians within +-pi", "convert degrees to radians"))
    steps = np.diff(angles)
    if not ((steps > 0).all() or (steps < 0).all()):
        found, expected = f"{found} going up and down", "angles that only rise or only fall"
        raise DataError(Issue("not-monotonic", path, found, expected, "restore the sensor's own file"))
    return angles


def _demand_magic(path: Path, content: bytes, magic: bytes) -> None:
    if not content.startswith(magic):
        known = (name for start, name in FILE_KINDS.items() if content.startswith(start))
        found = next(known, f"a file that begins with {content[:8]!r}")
        raise DataError(Issue("magic", path, found, FILE_KINDS[magic], "put the right file there"))


def _parse_array(path: Path, content: bytes, shape: tuple[int, ...]) -> NDArray[np.float32]:
    """The header is held against `shape` before any memory is asked for, and never unpickled."""
    usual = _usual_header(shape)
    start = len(usual) if content.startswith(usual) else _read_header(path, content, shape)
    found, expected = len(content) - start, 4 * int(np.prod(shape))
    if found != expected:
        kind = "truncated" if found < expected else "trailing-bytes"
        raise DataError(Issue(kind, path, f"{found:,} bytes of values", f"{expected:,}", "restore it"))
    array = np.frombuffer(content, np.float32, offset=start).reshape(shape).copy()  # ours to write to
    if not np.isfinite(array).all():
        nans = int(np.isnan(array).sum())
        kind, found = ("nan", f"{nans} values that are NaN") if nans else ("infinite", "values that are infinite")
        raise DataError(Issue(kind, path, found, "finite values", "restore or mend it"))
    return array


@cache
def _usual_header(shape: tuple[int, ...]) -> bytes:
    """What np.save writes before the values of such an array; read by comparison, four times as fast as by parsing."""
    file = io.BytesIO()
    np.save(file, np.zeros(shape, np.float32))
    return file.getvalue()[: -4 * int(np.prod(shape))]


def _read_header(path: Path, content: bytes, shape: tuple[int, ...]) -> int:
    """Where the values begin, behind a header that promises such an array."""
    _demand_magic(path, content, NPY)
    file = io.BytesIO(content)
    read_header = {(1, 0): np.lib.format.read_array_header_1_0, (2, 0): np.lib.format.read_array_header_2_0}
    try:
        found, fortran, dtype = read_header[np.lib.format.read_magic(file)](file)
    except Exception as error:  # as above
        reason = " ".join(f"{type(error).__name__} {error}".split())[:200]
        raise DataError(Issue("header", path, reason, "a readable npy header", "save the array again")) from None
    _demand_header(path, found, fortran, dtype, shape)
    return file.tell()


def _demand_header(path: Path, shape: tuple[int, ...], fortran: bool, dtype: np.dtype, wanted: tuple[int, ...]) -> None:
    found, expected = f"{dtype} {shape}", f"float32 {wanted}"
    kind, fix = None, "save one array of that type and shape"
    if dtype.hasobject:
        kind, found, fix = "pickled", f"pickled Python objects {shape}, which are not read: they could run code", fix
    elif dtype != np.float32:
        swapped = dtype.newbyteorder("=") == np.float32
        kind, fix = ("byte-order", "save it as '<f4'") if swapped else ("dtype", fix)
    elif shape != wanted:
        kind = "shape"
    elif fortran:
        kind, found, fix = "fortran-order", f"{found} in Fortran order", "save np.ascontiguousarray of it"
        expected += " in C order"
    if kind:
        raise DataError(Issue(kind, path, found, expected, fix))

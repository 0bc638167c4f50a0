"""The contract of a raw folder, and the readers of its files. No torch, no writing.

FOLDER/{cubes,spheres}/{rgb/0000.png, lidar/0000.npy, azimuth.npy, zenith.npy}. A file's number is its scene.
The readers check every claim of a file before they act on it: nothing is unpickled, and no file can make a reader
allocate more memory than one frame needs.
"""

import io
import math
import os
import stat
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from pipeline.core.errors import PipelineError, printable
from pipeline.core.sensors import CLASSES, IMAGE_SIZE, NO_RETURN
from pipeline.raw.png import PNG, PNG_HEADER_BYTES, PngHeader, read_png_header, unpack_png

MAX_LISTED = 20  # issues printed before the others are only counted
MAX_BYTES = 1 << 20  # bytes of a file that is read at all; a frame has 16 KB

# codes of issues that leave a pair usable; every other code is an error
WARNINGS = frozenset(
    "stray hidden nested gap imbalance duplicate near-duplicate no-split no-return black flat dim saturated "
    "no-background unusual-range equal-channels other-angles other-view".split()
)

NPY = b"\x93NUMPY"
FILE_KINDS = {  # first bytes -> kind of file, for the files that people put under a wrong name
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

FRAME_HEADER = PngHeader(IMAGE_SIZE, IMAGE_SIZE, bits=8, color_type=6)
PNG_DATA_BYTES = IMAGE_SIZE * (1 + 4 * IMAGE_SIZE)  # unpacked; each line is a filter byte and 64 pixels


@dataclass(frozen=True)
class Issue:
    """One problem of a raw folder: where it is, what was found and expected, and a hint how to fix it.

    `code` names the kind of problem. `scenes` are the scenes that the issue makes unusable: an empty range for a file
    that belongs to no scene, None for an issue of the whole folder.
    """

    code: str
    path: Path
    found: str
    expected: str
    hint: str
    scenes: range | None = None

    def __str__(self) -> str:
        return printable(f"{self.path}: found {self.found}; expected {self.expected}; {self.hint}")

    @property
    def severity(self) -> str:
        """Return `warning` if the pairs concerned can be used as they are, else `error`."""
        return "warning" if self.code in WARNINGS else "error"


class DataError(PipelineError, ValueError):
    """Data breaks the contract. The arguments are issues; the message has a line for each of the first MAX_LISTED."""

    def __str__(self) -> str:
        hidden = len(self.args) - MAX_LISTED
        more = [f"... and {hidden:,} more"] if hidden > 0 else []
        return "\n".join([*map(str, self.args[:MAX_LISTED]), *more])


class Pair(NamedTuple):
    """The two files of one object. In one scene, the cube and the sphere have one position and one color."""

    rgb: Path
    lidar: Path
    label: int  # index into CLASSES
    scene: int


def require_absent(folder: Path) -> None:
    """Raise DataError if anything exists at `folder`, a broken link included: nothing is ever overwritten."""
    if os.path.lexists(folder):
        raise DataError(Issue("exists", folder, "something there already", "a new name", "choose another or remove it"))


def pair_at(folder: Path, label: int, scene: int) -> Pair:
    """Return the paths of a pair by the contract; the files may be missing."""
    home = f"{folder}/{CLASSES[label]}"  # one parse instead of five: this runs for every frame
    return Pair(Path(f"{home}/rgb/{scene:04d}.png"), Path(f"{home}/lidar/{scene:04d}.npy"), label, scene)


def read_rgb(path: Path) -> NDArray[np.uint8]:
    """Read an RGB frame: (64, 64, 4) uint8 RGBA, background (0, 0, 0). Raises DataError if it breaks the contract."""
    return parse_rgb(path, read_bytes(path))


def read_depth(path: Path) -> NDArray[np.float32]:
    """Read a LiDAR frame: (64, 64) float32, ranges along the rays in (0, 50] Omniverse units, 50 for no return.

    Raises DataError if the file breaks the contract.
    """
    return parse_depth(path, read_bytes(path))


def read_angle(path: Path) -> NDArray[np.float32]:
    """Read the angles of the rows or columns: (64,) float32 radians, rising or falling. Raises DataError."""
    return parse_angle(path, read_bytes(path))


def read_angles(folder: Path, name: str) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Read the azimuths of the rows (64,) and the zeniths of the columns (64,) of class `name`, float32 radians.

    Raises DataError if a file breaks the contract.
    """
    return read_angle(folder / name / "azimuth.npy"), read_angle(folder / name / "zenith.npy")


def read_bytes(path: Path) -> bytes:
    """Read a regular file of at most MAX_BYTES; raises DataError. A pipe or device is refused without waiting."""
    try:
        handle = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    except FileNotFoundError:
        raise DataError(Issue("missing", path, "nothing", "a readable file", "restore it")) from None
    except OSError as error:
        hint = "fix its permissions or restore it"
        raise DataError(Issue("unreadable", path, str(error.strerror), "a readable file", hint)) from None
    try:
        _require_regular_file(path, os.fstat(handle))
        return os.read(handle, MAX_BYTES)
    except OSError as error:
        raise DataError(Issue("unreadable", path, str(error.strerror), "a readable file", "restore it")) from None
    finally:
        os.close(handle)


def _require_regular_file(path: Path, status: os.stat_result) -> None:
    if not stat.S_ISREG(status.st_mode):
        what = "a folder" if stat.S_ISDIR(status.st_mode) else "a pipe, socket or device"
        raise DataError(Issue("not-a-file", path, what, "a readable file", "put the file in its place"))
    if not status.st_size:
        raise DataError(Issue("empty", path, "0 bytes", "a readable file", "restore it"))
    if status.st_size > MAX_BYTES:
        found = f"{status.st_size:,} bytes"
        raise DataError(Issue("too-large", path, found, f"at most {MAX_BYTES:,}", "put one frame of 64x64 there"))


def _require_magic(path: Path, content: bytes, magic: bytes) -> None:
    if not content.startswith(magic):
        known = (kind for start, kind in FILE_KINDS.items() if content.startswith(start))
        found = next(known, f"a file that begins with {content[:8]!r}")
        raise DataError(Issue("magic", path, found, FILE_KINDS[magic], "put the right file there"))


# --- PNG


def parse_rgb(path: Path, content: bytes) -> NDArray[np.uint8]:
    """Decode the bytes of an RGB frame to (64, 64, 4) uint8 RGBA; raises DataError, which names `path`.

    Size and mode are checked by the header, and the size of the unpacked data before Pillow decodes anything.
    """
    _require_magic(path, content, PNG)
    _require_png_header(path, content)
    if b"IEND" not in content[-12:]:
        found = f"{len(content)} bytes that do not end as a PNG file does"
        raise DataError(Issue("truncated", path, found, "a whole PNG file", "restore it"))
    try:
        unpacked = unpack_png(content, 2 * PNG_DATA_BYTES)
    except ValueError as error:
        raise _damaged(path, error) from error
    if len(unpacked) == 2 * PNG_DATA_BYTES:
        found = f"over {2 * PNG_DATA_BYTES:,} bytes of pixels"
        raise DataError(Issue("bomb", path, found, f"{PNG_DATA_BYTES:,}", "throw it away and restore the picture"))
    try:
        return np.array(Image.open(io.BytesIO(content), formats=("PNG",)))
    except MemoryError:  # a frame is small: this process has none left, and the frame may be whole
        raise
    except Exception as error:  # foreign bytes make Pillow raise almost anything, SyntaxError included
        raise _damaged(path, error) from error


def _require_png_header(path: Path, content: bytes) -> None:
    if len(content) < PNG_HEADER_BYTES:
        raise DataError(Issue("truncated", path, f"{len(content)} bytes", "a whole PNG file", "restore it"))
    header = read_png_header(content)
    if header != FRAME_HEADER:
        code = "mode" if header[:2] == FRAME_HEADER[:2] else "size"
        add_alpha = "add an opaque alpha channel, as `python -m pipeline import` does to a set"
        hint = add_alpha if header == FRAME_HEADER._replace(color_type=2) else "convert or replace it"
        raise DataError(Issue(code, path, str(header), str(FRAME_HEADER), hint))


def _damaged(path: Path, error: Exception) -> DataError:
    return DataError(Issue("damaged", path, " ".join(str(error).split()), "a readable file", "restore it"))


# --- NPY


def parse_depth(path: Path, content: bytes) -> NDArray[np.float32]:
    """Decode the bytes of a LiDAR frame to (64, 64) float32 ranges in (0, 50]; raises DataError, which names `path`."""
    depth = _parse_array(path, content, (IMAGE_SIZE, IMAGE_SIZE))
    low, high = depth.min(), depth.max()
    if low > 0 and high <= NO_RETURN:
        return depth
    wrong = {"negative": depth < 0, "zero-range": depth == 0, "beyond-range": depth > NO_RETURN}
    code = next(code for code, pixels in wrong.items() if pixels.any())
    found = f"ranges {low:g} .. {high:g}, {int(wrong[code].sum())} of them {code}"
    expected = f"over 0 and up to {NO_RETURN:g}"
    raise DataError(Issue(code, path, found, expected, f"write {NO_RETURN:g} for no return"))


def parse_angle(path: Path, content: bytes) -> NDArray[np.float32]:
    """Decode the bytes of an angle file to (64,) float32 radians, rising or falling; raises DataError."""
    angles = _parse_array(path, content, (IMAGE_SIZE,))
    found = f"angles {angles.min():g} .. {angles.max():g}"
    if (np.abs(angles) > np.pi).any():
        raise DataError(Issue("not-radians", path, found, "radians within +-pi", "convert degrees to radians"))
    steps = np.diff(angles)
    if not ((steps > 0).all() or (steps < 0).all()):
        found, expected = f"{found} going up and down", "angles that only rise or only fall"
        raise DataError(Issue("not-monotonic", path, found, expected, "restore the sensor's own file"))
    return angles


def _parse_array(path: Path, content: bytes, shape: tuple[int, ...]) -> NDArray[np.float32]:
    """Decode a finite float32 array of `shape`. The header is checked before memory is allocated."""
    usual = _usual_npy_header(shape)
    start = len(usual) if content.startswith(usual) else _require_npy_header(path, content, shape)
    found, expected = len(content) - start, 4 * math.prod(shape)
    if found != expected:
        code = "truncated" if found < expected else "trailing-bytes"
        raise DataError(Issue(code, path, f"{found:,} bytes of values", f"{expected:,}", "restore it"))
    array = np.frombuffer(content, np.float32, offset=start).reshape(shape).copy()  # a copy can be written to
    if not np.isfinite(array).all():
        nans = int(np.isnan(array).sum())
        code, what = ("nan", f"{nans} values that are NaN") if nans else ("infinite", "values that are infinite")
        raise DataError(Issue(code, path, what, "finite values", "restore or fix it"))
    return array


@cache
def _usual_npy_header(shape: tuple[int, ...]) -> bytes:
    """Return the header that np.save writes for float32 `shape`; comparing bytes is four times as fast as parsing."""
    file = io.BytesIO()
    np.save(file, np.zeros(shape, np.float32))
    return file.getvalue()[: -4 * math.prod(shape)]


def _require_npy_header(path: Path, content: bytes, shape: tuple[int, ...]) -> int:
    """Return the place of the first value, after a header that promises float32 `shape` in C order."""
    _require_magic(path, content, NPY)
    file = io.BytesIO(content)
    readers = {(1, 0): np.lib.format.read_array_header_1_0, (2, 0): np.lib.format.read_array_header_2_0}
    try:
        found, fortran, dtype = readers[np.lib.format.read_magic(file)](file)
    except Exception as error:  # foreign bytes make NumPy raise almost anything
        reason = " ".join(f"{type(error).__name__} {error}".split())[:200]
        raise DataError(Issue("header", path, reason, "a readable npy header", "save the array again")) from None
    _require_npy_type(path, found, fortran, dtype, shape)
    return file.tell()


def _require_npy_type(
    path: Path, shape: tuple[int, ...], fortran: bool, dtype: np.dtype, expected_shape: tuple[int, ...]
) -> None:
    found, expected = f"{dtype} {shape}", f"float32 {expected_shape}"
    code, hint = None, "save one array of that type and shape"
    if dtype.hasobject:
        code, found = "pickled", f"pickled Python objects {shape}, which are not read: they could run code"
    elif dtype != np.float32:
        swapped = dtype.newbyteorder("=") == np.float32
        code, hint = ("byte-order", "save it as '<f4'") if swapped else ("dtype", hint)
    elif shape != expected_shape:
        code = "shape"
    elif fortran:
        code, found, hint = "fortran-order", f"{found} in Fortran order", "save np.ascontiguousarray of it"
        expected += " in C order"
    if code:
        raise DataError(Issue(code, path, found, expected, hint))

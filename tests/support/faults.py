"""Every kind of fault, planted into a good raw folder of three scenes: what to do, and the issue that it makes."""

import io
import os
import shutil
import struct
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import numpy as np
from PIL import Image

RGB, DEPTH = "cubes/rgb/0001.png", "spheres/lidar/0001.npy"
FLAT = np.full((64, 64), 50, np.float32)
ANGLES = np.linspace(-0.25, 0.25, 64, dtype=np.float32)


class Planted(NamedTuple):
    plant: Callable[[Path], object]
    code: str
    path: str
    words: str


def save(array: np.ndarray, path: str = DEPTH) -> Callable[[Path], None]:
    return lambda folder: np.save(folder / path, array)


def pixel(value: float) -> Callable[[Path], None]:
    array = FLAT.copy()
    array[3, 4] = value
    return save(array)


def picture(mode: str, size: tuple[int, int], form: str = "PNG") -> Callable[[Path], None]:
    def plant(folder: Path) -> None:
        content = io.BytesIO()
        Image.new(mode, size).save(content, form)
        (folder / RGB).write_bytes(content.getvalue())

    return plant


def written(content: bytes, path: str = RGB) -> Callable[[Path], object]:
    return lambda folder: (folder / path).write_bytes(content)


def cut(path: str, size: int) -> Callable[[Path], None]:
    return lambda folder: (folder / path).write_bytes((folder / path).read_bytes()[:size])


def longer(path: str, more: bytes) -> Callable[[Path], None]:
    return lambda folder: (folder / path).write_bytes((folder / path).read_bytes() + more)


def flip(position: int) -> Callable[[Path], None]:
    def plant(folder: Path) -> None:
        content = bytearray((folder / RGB).read_bytes())
        content[position] ^= 1
        (folder / RGB).write_bytes(content)

    return plant


def moved(source: str, target: str) -> Callable[[Path], object]:
    return lambda folder: (folder / source).rename(folder / target)


def gone(*paths: str) -> Callable[[Path], object]:
    return lambda folder: [(folder / path).unlink() for path in paths]


def removed(path: str) -> Callable[[Path], None]:
    return lambda folder: shutil.rmtree(folder / path)


def touched(path: str) -> Callable[[Path], None]:
    return lambda folder: (folder / path).touch()


def both(*plants: Callable[[Path], object]) -> Callable[[Path], None]:
    def plant(folder: Path) -> None:
        for each in plants:
            each(folder)

    return plant


def linked(path: str, target: str) -> Callable[[Path], None]:
    def plant(folder: Path) -> None:
        (folder / path).unlink()
        (folder / path).symlink_to(target)

    return plant


def out_of_the_folder(folder: Path) -> None:
    outside = folder.parent / "elsewhere.png"
    (folder / RGB).rename(outside)
    (folder / RGB).symlink_to(outside)


def class_elsewhere(folder: Path) -> None:
    outside = folder.parent / "elsewhere"
    (folder / "cubes").rename(outside)
    (folder / "cubes").symlink_to(outside)


def copied(source: str, target: str) -> Callable[[Path], object]:
    return lambda folder: shutil.copy(folder / source, folder / target)


def every(sensor: str, class_: str, do: Callable[[Path], object]) -> Callable[[Path], object]:
    return lambda folder: [do(path) for path in sorted((folder / class_ / sensor).iterdir())]


def header(shape: str, descr: str = "'<f4'", fortran: bool = False) -> bytes:
    """Make a .npy header that claims anything."""
    text = f"{{'descr': {descr}, 'fortran_order': {fortran}, 'shape': {shape}, }}".encode()
    return b"\x93NUMPY\x01\x00" + struct.pack("<H", len(text)) + text


def png(width: int, height: int, bits: int, colour: int, data: bytes = b"") -> bytes:
    """Make a PNG file that claims anything."""
    chunks = (b"IHDR", struct.pack(">IIBBBBB", width, height, bits, colour, 0, 0, 0)), (b"IDAT", data), (b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + b"".join(chunk(name, content) for name, content in chunks)


def chunk(name: bytes, content: bytes) -> bytes:
    """Encode one chunk of a PNG file."""
    return struct.pack(">I", len(content)) + name + content + struct.pack(">I", zlib.crc32(name + content))


def encoded(rgb: np.ndarray) -> bytes:
    """Encode (H, W, 4) uint8 as a PNG file."""
    content = io.BytesIO()
    Image.fromarray(rgb).save(content, "PNG")
    return content.getvalue()


def nearly(folder: Path) -> None:
    """Give scene 1 the frames of scene 0, a little noisy, as another encoder would leave them."""
    for name in ("cubes", "spheres"):
        depth = np.load(folder / name / "lidar/0000.npy")
        np.save(folder / name / "lidar/0001.npy", np.where(depth < 50, depth + np.float32(0.01), depth))
        rgb = np.array(Image.open(folder / name / "rgb/0000.png"))
        rgb[..., :3] = np.where(rgb[..., :3] > 8, rgb[..., :3] - 2, rgb[..., :3])
        (folder / name / "rgb/0001.png").write_bytes(encoded(rgb))


def same_scene(folder: Path) -> None:
    for name in ("cubes", "spheres"):
        copied(f"{name}/rgb/0000.png", f"{name}/rgb/0001.png")(folder)
        copied(f"{name}/lidar/0000.npy", f"{name}/lidar/0001.npy")(folder)


THIRD = ("spheres/rgb/0002.png", "spheres/lidar/0002.npy")
MIDDLE = [f"{name}/{file}" for name in ("cubes", "spheres") for file in ("rgb/0001.png", "lidar/0001.npy")]

FAULTS: dict[str, Planted] = {
    # names and numbers
    "folder missing": Planted(removed("."), "no-folder", "", "nothing; expected a folder"),
    "class missing": Planted(removed("spheres"), "no-folder", "spheres", "nothing; expected a folder"),
    "class is a file": Planted(both(removed("spheres"), touched("spheres")), "no-folder", "spheres", "found a file"),
    "sensor missing": Planted(removed("cubes/lidar"), "no-folder", "cubes/lidar", "nothing; expected a folder"),
    "no pairs": Planted(every("rgb", "spheres", os.unlink), "no-pairs", "spheres", "no pairs"),
    "rgb missing": Planted(gone(RGB), "unpaired", RGB, "nothing; .*partner of .*cubes/lidar/0001.npy"),
    "rgb missing at the end": Planted(gone("cubes/rgb/0002.png"), "unpaired", "cubes/rgb/0002.png", "partner"),
    "lidar missing": Planted(gone(DEPTH), "unpaired", DEPTH, "partner of .*spheres/rgb/0001.png"),
    "more lidar than rgb": Planted(
        gone("cubes/rgb/0001.png", "cubes/rgb/0002.png"), "unpaired", RGB, "nothing for 2 scenes, 0001 .. 0002"
    ),
    "class truncated": Planted(gone(*THIRD), "lone-scene", "spheres", "no scene 0002; .*in both classes"),
    "counts differ": Planted(gone(*THIRD), "imbalance", "", "3 cubes, 2 spheres"),
    "gap": Planted(gone(*MIDDLE), "gap", "", "a gap at 0001;"),
    "stray at the top": Planted(touched("notes.txt"), "stray", "notes.txt", "stray"),
    "stray in a class": Planted(touched("cubes/rgb.zip"), "stray", "cubes/rgb.zip", "stray"),
    "stray in a sensor": Planted(touched("cubes/rgb/0001.jpg"), "stray", "cubes/rgb/0001.jpg", "only 0000.png"),
    "stray files": Planted(
        both(touched("cubes/rgb/1.tmp"), touched("cubes/rgb/3.webp")), "stray", "cubes/rgb/1.tmp", "and 1 more: 3.webp"
    ),
    "hidden file": Planted(touched("cubes/rgb/.DS_Store"), "hidden", "cubes/rgb/.DS_Store", "for itself; .*delete"),
    "copy of a frame by macOS": Planted(
        touched("cubes/lidar/._0001.npy"), "hidden", "cubes/lidar/._0001.npy", "made for itself"
    ),
    "files of Windows": Planted(
        both(touched("cubes/Thumbs.db"), touched("cubes/desktop.ini")), "hidden", "cubes/Thumbs.db", "1 more: desk"
    ),
    "nested folder": Planted(
        lambda f: (f / "cubes/lidar/lidar").mkdir(), "nested", "cubes/lidar/lidar", "pipeline import"
    ),
    "name no digits": Planted(touched("cubes/rgb/cat.png"), "name", "cubes/rgb/cat.png", "the name cat"),
    "name too short": Planted(moved(RGB, "cubes/rgb/1.png"), "name", "cubes/rgb/1.png", "the name 1"),
    "name doubled": Planted(touched("cubes/lidar/00001.npy"), "name", "cubes/lidar/00001.npy", "the name 00001"),
    "name of other digits": Planted(touched("cubes/rgb/०००१.png"), "name", "cubes/rgb/०००१.png", "the name"),
    "name without end": Planted(
        touched("cubes/rgb/" + "9" * 30 + ".png"), "name", "cubes/rgb/" + "9" * 30 + ".png", "four digits"
    ),
    "link out of the folder": Planted(out_of_the_folder, "link-outside", RGB, "a link to .*elsewhere.png"),
    "class linked from outside": Planted(class_elsewhere, "link-outside", "cubes", "a link to .*elsewhere"),
    "link to nothing": Planted(linked(RGB, "nowhere.png"), "broken-link", RGB, "where nothing is"),
    # files
    "rgb empty": Planted(cut(RGB, 0), "empty", RGB, "0 bytes"),
    "rgb is a folder": Planted(both(gone(RGB), lambda f: (f / RGB).mkdir()), "not-a-file", RGB, "a folder"),
    "rgb is a pipe": Planted(both(gone(RGB), lambda f: os.mkfifo(f / RGB)), "not-a-file", RGB, "a pipe"),
    "rgb is a device": Planted(linked(RGB, "/dev/zero"), "not-a-file", RGB, "device"),
    "rgb too large": Planted(longer(RGB, bytes(1 << 20)), "too-large", RGB, "1,.* bytes; expected at most 1,048,576"),
    "rgb is a web page": Planted(written(b"<html>not found</html>"), "magic", RGB, "a web page; expected a PNG"),
    "rgb is a pointer": Planted(written(b"version https://git-lfs.github.com/spec/v1\n"), "magic", RGB, "Git LFS"),
    "rgb is anything": Planted(written(b"no picture"), "magic", RGB, "begins with b'no pictu'"),
    "rgb of another format": Planted(picture("RGBA", (64, 64), "TIFF"), "magic", RGB, "TIFF"),
    "rgb a JPEG": Planted(picture("RGB", (64, 64), "JPEG"), "magic", RGB, "JPEG"),
    "rgb cut in half": Planted(cut(RGB, 8000), "truncated", RGB, "8000 bytes that do not end"),
    "rgb cut in its header": Planted(cut(RGB, 20), "truncated", RGB, "20 bytes"),
    "rgb without its end": Planted(cut(RGB, -12), "truncated", RGB, "do not end"),
    "rgb damaged": Planted(flip(9000), "damaged", RGB, "readable"),
    "rgb with too few pixels": Planted(written(png(64, 64, 8, 6, zlib.compress(b"0"))), "damaged", RGB, "readable"),
    "rgb without alpha": Planted(picture("RGB", (64, 64)), "mode", RGB, "PNG RGB 8 bit 64x64"),
    "rgb in grey": Planted(picture("L", (64, 64)), "mode", RGB, "PNG L 8 bit 64x64"),
    "rgb with a palette": Planted(picture("P", (64, 64)), "mode", RGB, "PNG P 1 bit 64x64"),
    "rgb of 16 bits": Planted(written(png(64, 64, 16, 6)), "mode", RGB, "PNG RGBA 16 bit 64x64"),
    "rgb larger": Planted(picture("RGBA", (64, 65)), "size", RGB, "PNG RGBA 8 bit 64x65"),
    "rgb black": Planted(picture("RGBA", (64, 64)), "black", RGB, "black pixels alone"),
    "depth empty": Planted(cut(DEPTH, 0), "empty", DEPTH, "0 bytes"),
    "depth is a picture": Planted(copied(RGB, DEPTH), "magic", DEPTH, "a PNG picture; expected a NumPy array"),
    "depth archived": Planted(lambda f: np.savez((f / DEPTH).open("wb"), FLAT), "magic", DEPTH, "zip"),
    "depth a bare pickle": Planted(written(b"\x80\x04N.", DEPTH), "magic", DEPTH, "a pickle"),
    "depth cut in half": Planted(cut(DEPTH, 8000), "truncated", DEPTH, "expected 16,384"),
    "depth cut in its header": Planted(cut(DEPTH, 60), "header", DEPTH, "header"),
    "depth with a mad header": Planted(written(header("(64, 64) + 1", "open()"), DEPTH), "header", DEPTH, "npy"),
    "depth of another version": Planted(written(b"\x93NUMPY\x09\x00" + bytes(200), DEPTH), "header", DEPTH, "npy"),
    "depth with bytes on end": Planted(longer(DEPTH, b"more"), "trailing-bytes", DEPTH, "16,388 bytes of values"),
    "depth of objects": Planted(save(np.array([{}])), "pickled", DEPTH, "could run code"),
    "depth in float64": Planted(save(FLAT.astype(np.float64)), "dtype", DEPTH, "float64"),
    "depth in integers": Planted(save(FLAT.astype(np.uint8)), "dtype", DEPTH, "uint8"),
    "depth in the other byte order": Planted(save(FLAT.astype(">f4")), "byte-order", DEPTH, ">f4"),
    "depth with a column less": Planted(save(FLAT[:, :63]), "shape", DEPTH, r"float32 \(64, 63\)"),
    "depth flat": Planted(save(FLAT.reshape(-1)), "shape", DEPTH, r"float32 \(4096,\)"),
    "depth in Fortran order": Planted(save(np.asfortranarray(FLAT)), "fortran-order", DEPTH, "Fortran order"),
    "depth not a number": Planted(pixel(np.nan), "nan", DEPTH, "1 values that are NaN"),
    "depth infinite": Planted(pixel(np.inf), "infinite", DEPTH, "values that are infinite"),
    "depth negative": Planted(pixel(-0.5), "negative", DEPTH, "ranges -0.5 .. 50, 1 of them negative"),
    "depth zero": Planted(save(FLAT * 0), "zero-range", DEPTH, "4096 of them zero-range"),
    "depth too far": Planted(pixel(50.5), "beyond-range", DEPTH, "ranges 50 .. 50.5"),
    "depth without a return": Planted(save(FLAT), "no-return", DEPTH, "no range under 50"),
    "no returns at all": Planted(
        every("lidar", "spheres", lambda path: np.save(path, FLAT)), "no-returns-at-all", "spheres/lidar", "no frame"
    ),
    # angles
    "angles missing": Planted(gone("cubes/azimuth.npy"), "missing", "cubes/azimuth.npy", "nothing"),
    "angles too few": Planted(save(ANGLES[1:], "cubes/zenith.npy"), "shape", "cubes/zenith.npy", r"float32 \(63,\)"),
    "angles in float64": Planted(
        save(ANGLES.astype(float), "cubes/zenith.npy"), "dtype", "cubes/zenith.npy", "float64"
    ),
    "angles not finite": Planted(save(ANGLES * np.nan, "spheres/zenith.npy"), "nan", "spheres/zenith.npy", "NaN"),
    "angles in degrees": Planted(
        save(ANGLES * 57, "spheres/zenith.npy"), "not-radians", "spheres/zenith.npy", "radians"
    ),
    "angles not monotonic": Planted(
        save(np.abs(ANGLES), "spheres/zenith.npy"), "not-monotonic", "spheres/zenith.npy", "up and down"
    ),
    "angles of another sensor": Planted(
        save(ANGLES, "spheres/azimuth.npy"), "angles-differ", "spheres/azimuth.npy", "other angles"
    ),
    # sets; of three scenes, 0 is for training, 1 for validation, 2 for testing
    "frame in both classes": Planted(
        copied("cubes/rgb/0001.png", "spheres/rgb/0001.png"), "two-classes", "spheres/rgb/0001.png", "cubes/rgb/0001"
    ),
    "frame in two splits": Planted(
        copied("cubes/rgb/0000.png", "cubes/rgb/0002.png"), "leak", "cubes/rgb/0002.png", "another split"
    ),
    "scene in two splits": Planted(same_scene, "leak", "spheres/lidar/0001.npy", "spheres/lidar/0000.npy, which lies"),
    "scene nearly in two splits": Planted(nearly, "near-duplicate", "cubes/rgb/0001.png", "nearly .* scene 0000"),
}  # fmt: skip

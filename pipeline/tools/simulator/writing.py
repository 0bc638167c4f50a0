"""Writers of a raw folder's files: their bytes depend on no library's version."""

import struct
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from pipeline.core.files import atomic_folder
from pipeline.raw.format import Pair, require_absent
from pipeline.raw.png import PNG

MAX_STORED_BYTES = 65535  # largest stored deflate block: its length has 16 bits


@contextmanager
def create_folder(folder: Path) -> Iterator[Path]:
    """Yield a hidden sibling to fill, and rename it to `folder` at the end; raises DataError if that name is taken."""
    require_absent(folder)
    with atomic_folder(folder) as partial:
        yield partial
        require_absent(folder)  # another process may have made it meanwhile


def write_pair(pair: Pair, rgb: NDArray[np.uint8], depth: NDArray[np.float32]) -> None:
    """Write RGBA (64, 64, 4) uint8 and depth (64, 64) float32 to the paths of the pair, in folders that exist."""
    pair.rgb.write_bytes(encode_png(rgb))
    np.save(pair.lidar, depth, allow_pickle=False)


def write_angles(folder: Path, azimuth: NDArray[np.float32], zenith: NDArray[np.float32]) -> None:
    """Write the angle files of one class folder: azimuth and zenith (64,) float32 radians."""
    np.save(folder / "azimuth.npy", azimuth, allow_pickle=False)
    np.save(folder / "zenith.npy", zenith, allow_pickle=False)


def encode_png(rgb: NDArray[np.uint8]) -> bytes:
    """Encode RGBA (H, W, 4) uint8 as PNG with stored deflate blocks: no compressor, so that the bytes never change."""
    height, width, _ = rgb.shape
    lines = np.zeros((height, 1 + 4 * width), np.uint8)  # each line starts with its filter, 0: none
    lines[:, 1:] = rgb.reshape(height, -1)
    header = struct.pack(">IIBBBBB", width, height, 8, 6, 0, 0, 0)  # 8 bits, RGBA, not interlaced
    chunks = (b"IHDR", header), (b"IDAT", _store(lines.tobytes())), (b"IEND", b"")
    return PNG + b"".join(_encode_chunk(name, content) for name, content in chunks)


def _encode_chunk(name: bytes, content: bytes) -> bytes:
    return struct.pack(">I", len(content)) + name + content + struct.pack(">I", zlib.crc32(name + content))


def _store(content: bytes) -> bytes:
    """Wrap bytes into a zlib stream that compresses nothing (RFC 1951, 3.2.4)."""
    starts = range(0, len(content), MAX_STORED_BYTES)
    blocks = [content[start : start + MAX_STORED_BYTES] for start in starts]
    heads = [struct.pack("<BHH", block is blocks[-1], len(block), len(block) ^ 0xFFFF) for block in blocks]
    body = b"".join(head + block for head, block in zip(heads, blocks, strict=True))
    return b"\x78\x01" + body + struct.pack(">I", zlib.adler32(content))

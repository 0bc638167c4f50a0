"""Every frame of a raw folder, read once and measured, side by side on all cores; into arrays on the way if asked.

Memory stays flat: a block of rows is read, measured, written to its place and forgotten.
"""

import hashlib
import os
import signal
import threading
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from dataclasses import replace
from multiprocessing import get_context, parent_process
from pathlib import Path
from typing import BinaryIO, NamedTuple

import numpy as np

from pipeline.core.errors import PipelineError
from pipeline.core.files import write_npy
from pipeline.core.sensors import IMAGE_SIZE, NO_RETURN
from pipeline.raw.format import DataError, Issue, pair_at, read_depth, read_rgb
from pipeline.raw.index import Rows

FRAME_STATS = np.dtype([
    ("good", "?"),  # both frames are there and whole
    ("returns", "<u2"),  # LiDAR hits
    ("total", "<f8"),  # sum of their ranges, Omniverse units
    ("squares", "<f8"),  # sum of their squared ranges
    ("nearest", "<f4"),
    ("farthest", "<f4"),
    ("lit", "<u2"),  # pixels of the RGB that are not black
    ("brightness", "<f4"),  # mean over them of the largest of R, G and B
    ("rgb", "<u8", 2),  # 128 bits of a hash of the frame: equal frames have equal ones
    ("lidar", "<u8", 2),
    ("look", "<f4", 7),  # of like frames alike: see _look
])  # fmt: skip
BLOCK_ROWS = 256  # rows read at a time: 8 MB
MIN_PARALLEL_ROWS = 16 * BLOCK_ROWS  # rows that one process reads sooner than others have started
FRAME_SPECS = {"rgb": (np.uint8, (IMAGE_SIZE, IMAGE_SIZE, 4)), "depth": (np.float32, (IMAGE_SIZE, IMAGE_SIZE))}


class Block(NamedTuple):
    """Consecutive rows, read."""

    start: int
    measures: np.ndarray  # (n,) of MEASURES
    faults: list[Issue]


def scan_rows(folder: Path, rows: Rows, into: Path | None = None, workers: int | None = None) -> Iterator[Block]:
    """Read and measure every row of a raw folder, block by block, in order.

    With `into`, frames are also written to its rgb.npy and depth.npy (see `make_room`), and blocks that an earlier
    call finished are taken as they are, unless one of their raw files has changed since. Broken frames stay empty
    there (black; no return), are not `good`, and come as faults. `workers` processes; by default as many as cores.
    """
    starts = range(0, len(rows), BLOCK_ROWS)
    jobs = [(folder, rows.part(start, start + BLOCK_ROWS), start, into) for start in starts]
    workers = workers or (len(os.sched_getaffinity(0)) if len(rows) > MIN_PARALLEL_ROWS else 1)
    if workers == 1:
        yield from (_read_block(job) for job in jobs)
        return
    with _pool(workers) as pool:
        yield from pool.map(_read_block, jobs)


def allocate_arrays(folder: Path, count: int) -> None:
    """rgb.npy (N, 64, 64, 4) uint8 and depth.npy (N, 64, 64) float32 for `read_rows` to fill, if not there already."""
    for name, (dtype, shape) in FRAME_SPECS.items():
        path = folder / f"{name}.npy"
        if not path.exists():
            np.lib.format.open_memmap(path, mode="w+", dtype=dtype, shape=(count, *shape))
    (folder / "blocks").mkdir(exist_ok=True)


@contextmanager
def _pool(workers: int) -> Iterator[ProcessPoolExecutor]:
    """Fresh processes, since forking one with threads can hang; they leave Ctrl-C to their parent and end with it."""
    pool = ProcessPoolExecutor(workers, mp_context=get_context("spawn"), initializer=_settle)
    try:
        yield pool
    except BrokenProcessPool:
        raise PipelineError(
            "a process that reads frames was killed, perhaps for want of memory: run it again"
        ) from None
    finally:
        pool.shutdown(cancel_futures=True)


def _settle() -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_end_with_parent, daemon=True).start()


def _end_with_parent() -> None:
    parent = parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)


# --- one block


def _read_block(job: tuple[Path, Rows, int, Path | None]) -> Block:
    folder, rows, start, into = job
    if into is None:
        return _read(folder, rows, start)[0]
    done = into / "blocks" / f"{start}-{_stamp(folder, rows)}.npy"
    if done.exists():
        return Block(start, np.load(done, allow_pickle=False), [])
    block, frames = _read(folder, rows, start)
    for name, array in frames.items():
        _put(into / f"{name}.npy", array, start)
    if not block.faults:  # a faulty one is read again, so that its faults are told again
        write_npy(done, block.measures)
    return block


def _read(folder: Path, rows: Rows, start: int) -> tuple[Block, dict[str, np.ndarray]]:
    rgb = np.zeros((len(rows), *FRAME_SPECS["rgb"][1]), np.uint8)
    depth = np.full((len(rows), *FRAME_SPECS["depth"][1]), NO_RETURN, np.float32)
    good, faults = rows.rgb & rows.lidar, []
    for row, (label, scene) in enumerate(zip(rows.label.tolist(), rows.scene.tolist(), strict=True)):
        pair = pair_at(folder, label, scene)
        for there, read, path, frames in (
            (rows.rgb[row], read_rgb, pair.rgb, rgb),
            (rows.lidar[row], read_depth, pair.lidar, depth),
        ):
            try:
                if there:
                    frames[row] = read(path)
            except DataError as error:
                good[row] = False
                faults += [replace(fault, scenes=range(scene, scene + 1)) for fault in error.args]
    measures = _measure(rgb, depth, good)
    faults += _blanks(folder, rows, measures)
    return Block(start, measures, faults), {"rgb": rgb, "depth": depth}


def _blanks(folder: Path, rows: Rows, measures: np.ndarray) -> Iterator[Issue]:
    """Whole frames that show nothing."""
    for row in np.flatnonzero(measures["good"] & ((measures["returns"] == 0) | (measures["lit"] == 0))):
        scene = int(rows.scene[row])
        pair, none = pair_at(folder, int(rows.label[row]), scene), range(0)
        if not measures["returns"][row]:
            fix = "look whether the object was in view"
            yield Issue("no-return", pair.lidar, f"no range under {NO_RETURN:g}", "an object", fix, none)
        if not measures["lit"][row]:
            yield Issue("black", pair.rgb, "black pixels alone", "an object", "look whether the light was on", none)


def _stamp(folder: Path, rows: Rows) -> str:
    """A hash of size and time of the raw files of some rows: another one once any of them has changed."""
    told = hashlib.blake2b(digest_size=12)
    for label, scene, *there in zip(*(column.tolist() for column in rows), strict=True):
        for path, exists in zip(pair_at(folder, label, scene)[:2], there, strict=True):
            status = os.stat(path) if exists and path.exists() else None
            seen = status and (status.st_size, status.st_mtime_ns, status.st_ctime_ns, status.st_ino)
            told.update(repr((label, scene, seen)).encode())
    return told.hexdigest()


def _put(path: Path, array: np.ndarray, row: int) -> None:
    """Overwrite rows of an .npy file from `row` on, by plain writes: a mapped file would count as memory."""
    with path.open("r+b") as file:
        read_npy_header(file)
        file.seek(row * array[0].nbytes, os.SEEK_CUR)
        file.write(array.data)


def read_npy_header(file: BinaryIO) -> tuple[tuple[int, ...], bool, np.dtype]:
    """Shape, Fortran order and type of an array of ours; the file then stands at its first value."""
    np.lib.format.read_magic(file)
    return np.lib.format.read_array_header_1_0(file)


# --- what a frame measures


def _measure(rgb: np.ndarray, depth: np.ndarray, good: np.ndarray) -> np.ndarray:
    """(n, H, W, 4) uint8, (n, H, W) float32 -> (n,) of MEASURES."""
    measures = np.zeros(len(good), FRAME_STATS)
    hit = depth < NO_RETURN  # (n, H, W)
    bright = np.maximum(np.maximum(rgb[..., 0], rgb[..., 1]), rgb[..., 2])  # ten times as fast as a maximum by axis
    ranges = np.where(hit, depth, 0).astype(np.float64)
    lit = bright > 0
    measures["good"] = good
    measures["returns"], measures["lit"] = hit.sum(axis=(1, 2)), lit.sum(axis=(1, 2))
    measures["total"], measures["squares"] = ranges.sum(axis=(1, 2)), (ranges**2).sum(axis=(1, 2))
    measures["nearest"] = depth.min(axis=(1, 2))
    measures["farthest"] = ranges.max(axis=(1, 2))
    measures["brightness"] = bright.sum(axis=(1, 2)) / np.maximum(measures["lit"], 1)
    for name, frames in (("rgb", rgb), ("lidar", depth)):
        measures[name] = [np.frombuffer(hashlib.blake2b(frame, digest_size=16).digest(), "<u8") for frame in frames]
    measures["look"] = _look(rgb, hit, measures)
    return measures


def _look(rgb: np.ndarray, hit: np.ndarray, measures: np.ndarray) -> np.ndarray:
    """Seven figures that differ by under 1 where frames are nearly the same: (n, 7).

    The middle of the returns in half pixels, the root of their number in halves, their mean range in units, and the
    mean colour of the lit pixels in tens of levels.
    """
    places = np.arange(IMAGE_SIZE)
    count, lit = np.maximum(measures["returns"], 1), np.maximum(measures["lit"], 1)
    row, column = (hit.sum(axis=axis) @ places / count for axis in (2, 1))
    colour = np.stack([rgb[..., channel].sum(axis=(1, 2)) for channel in range(3)], axis=1) / lit[:, None]
    shape = [row / 0.5, column / 0.5, np.sqrt(measures["returns"]) / 0.5, measures["total"] / count]
    return np.column_stack([*shape, colour / 10])

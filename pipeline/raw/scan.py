"""Read every frame of a raw folder once, on all cores: its statistics and issues, and on request its place in arrays.

Memory stays flat: a block of rows is read, measured, written to its place and forgotten.
"""

import hashlib
import os
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import BinaryIO, NamedTuple

import numpy as np

from pipeline.core.files import write_npy
from pipeline.core.sensors import IMAGE_SIZE, NO_RETURN
from pipeline.raw.format import DataError, Issue, pair_at, read_depth, read_rgb
from pipeline.raw.frame_stats import frame_stats
from pipeline.raw.index import Rows
from pipeline.raw.workers import count_workers, map_in_processes

BLOCK_ROWS = 256  # rows read at a time: 8 MB
MIN_PARALLEL_ROWS = 16 * BLOCK_ROWS  # up to this many rows, one process is done before others have started
FRAME_SPECS = {"rgb": (np.uint8, (IMAGE_SIZE, IMAGE_SIZE, 4)), "depth": (np.float32, (IMAGE_SIZE, IMAGE_SIZE))}


class Block(NamedTuple):
    """The result for consecutive rows."""

    start: int  # the first row
    stats: np.ndarray  # (n,) FRAME_STATS
    issues: list[Issue]


class Job(NamedTuple):
    """The order to read consecutive rows."""

    folder: Path
    rows: Rows  # those of the block
    start: int  # the first row's number in the folder and in the arrays
    into: Path | None  # the folder of the arrays


def scan_rows(folder: Path, rows: Rows, into: Path | None = None, workers: int | None = None) -> Iterator[Block]:
    """Read every row of a raw folder in `workers` processes, and yield the blocks in order.

    With `into`, write the frames to its rgb.npy and depth.npy as well (see `allocate_arrays`). A block that an earlier
    call finished there is not read again, unless one of its raw files has changed since. A broken frame leaves its
    place empty (black; no return), is not `valid`, and is an issue. By default small folders are read in this process,
    others in as many processes as may run at a time. Raises PipelineError if a worker is killed.
    """
    starts = range(0, len(rows), BLOCK_ROWS)
    jobs = [Job(folder, rows.part(start, start + BLOCK_ROWS), start, into) for start in starts]
    workers = workers or (count_workers() if len(rows) > MIN_PARALLEL_ROWS else 1)
    yield from map(_run_job, jobs) if workers == 1 else map_in_processes(_run_job, jobs, workers)


def allocate_arrays(folder: Path, count: int) -> None:
    """Create rgb.npy (N, 64, 64, 4) uint8 and depth.npy (N, 64, 64) float32 for `scan_rows`; existing ones stay."""
    for name, (dtype, shape) in FRAME_SPECS.items():
        path = folder / f"{name}.npy"
        if not path.exists():
            np.lib.format.open_memmap(path, mode="w+", dtype=dtype, shape=(count, *shape))
    (folder / "blocks").mkdir(exist_ok=True)


def read_npy_header(file: BinaryIO) -> tuple[tuple[int, ...], bool, np.dtype]:
    """Read shape, Fortran order and type of an array that this project wrote; leaves `file` at the first value."""
    np.lib.format.read_magic(file)
    return np.lib.format.read_array_header_1_0(file)


# --- one block


def _run_job(job: Job) -> Block:
    if job.into is None:
        return _read_block(job)[0]
    done = job.into / "blocks" / f"{job.start}-{_digest_files(job.folder, job.rows)}.npy"
    if done.exists():
        return Block(job.start, np.load(done, allow_pickle=False), [])
    block, frames = _read_block(job)
    for name, array in frames.items():
        _overwrite_rows(job.into / f"{name}.npy", array, job.start)
    if not block.issues:  # a block with issues is read again by the next call, which has to report them too
        write_npy(done, block.stats)
    return block


def _read_block(job: Job) -> tuple[Block, dict[str, np.ndarray]]:
    folder, rows = job.folder, job.rows
    rgb = np.zeros((len(rows), *FRAME_SPECS["rgb"][1]), np.uint8)
    depth = np.full((len(rows), *FRAME_SPECS["depth"][1]), NO_RETURN, np.float32)
    valid, issues = rows.rgb & rows.lidar, []
    for row, (label, scene) in enumerate(zip(rows.label.tolist(), rows.scene.tolist(), strict=True)):
        pair = pair_at(folder, label, scene)
        for exists, read, path, frames in (
            (rows.rgb[row], read_rgb, pair.rgb, rgb),
            (rows.lidar[row], read_depth, pair.lidar, depth),
        ):
            try:
                if exists:
                    frames[row] = read(path)
            except DataError as error:
                valid[row] = False
                issues += [replace(issue, scenes=range(scene, scene + 1)) for issue in error.args]
    return Block(job.start, frame_stats(rgb, depth, valid), issues), {"rgb": rgb, "depth": depth}


def _digest_files(folder: Path, rows: Rows) -> str:
    """Hash size and times of the raw files of some rows, so that a change of any of them changes the digest."""
    digest = hashlib.blake2b(digest_size=12)
    for label, scene, *exist in zip(*(column.tolist() for column in rows), strict=True):
        for path, exists in zip(pair_at(folder, label, scene)[:2], exist, strict=True):
            status = os.stat(path) if exists and path.exists() else None
            state = status and (status.st_size, status.st_mtime_ns, status.st_ctime_ns, status.st_ino)
            digest.update(repr((label, scene, state)).encode())
    return digest.hexdigest()


def _overwrite_rows(path: Path, array: np.ndarray, start: int) -> None:
    """Overwrite the rows of an .npy file from `start` on.

    By plain writes, not through a memory map: on a full disk those raise OSError, where a map kills the process.
    """
    with path.open("r+b") as file:
        read_npy_header(file)
        file.seek(start * array[0].nbytes, os.SEEK_CUR)
        file.write(array.data)

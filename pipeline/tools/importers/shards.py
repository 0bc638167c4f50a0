"""Rows of parquet files, one by one in little memory, as long as they are asked for about in their order."""

import threading
from collections import deque
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from pipeline.core.errors import PipelineError
from pipeline.core.sensors import IMAGE_SIZE
from pipeline.raw.format import MAX_BYTES, DataError, Issue
from pipeline.tools.importers.hub import INSTALL_HINT
from pipeline.tools.importers.source import npy

if TYPE_CHECKING:
    import pyarrow as pa


BATCH = 64  # rows decoded at a time
MAX_VALUE_BYTES = 2 * IMAGE_SIZE * IMAGE_SIZE  # in a column of one row
BEHIND = 4  # batches kept, for threads that ask a little out of order
BUFFER = 1 << 20  # bytes of a column read from the disk at a time


class Cell(NamedTuple):
    """Where one value lies."""

    path: Path
    group: int  # row group of the file
    row: int  # in the group
    column: str


class Shards:
    """Open parquet files, and the rows of one of them that were decoded last."""

    def __init__(self, paths: list[Path]) -> None:
        """Raises DataError for a file that is no whole parquet file, PipelineError without pyarrow."""
        try:
            import pyarrow
            import pyarrow.parquet as parquet
        except ImportError:
            raise PipelineError(f"{paths[0]}: needs pyarrow, which is not installed: {INSTALL_HINT}") from None
        self.lock = threading.Lock()
        self.broken = pyarrow.ArrowException, OSError, ValueError, NotImplementedError
        self.files = {}
        for path in paths:
            try:
                self.files[path] = parquet.ParquetFile(path, buffer_size=BUFFER)
            except self.broken as error:
                raise _unreadable(path, error) from None
            self._demand_size(path)
        self.at: tuple[Path, int, tuple[str, ...]] | None = None  # which group the batches are of
        self.left: Iterator[pa.RecordBatch] = iter(())
        self.seen = 0  # rows of the group decoded so far
        self.kept: deque[tuple[int, pa.RecordBatch]] = deque(maxlen=BEHIND)

    def _demand_size(self, path: Path) -> None:
        """Raises DataError for more bytes or values than pairs have, before any is decoded."""
        about = self.files[path].metadata
        for group in map(about.row_group, range(about.num_row_groups)):
            values = max(group.column(at).num_values for at in range(group.num_columns))
            if group.total_byte_size > MAX_BYTES * (group.num_rows + 1) or values > MAX_VALUE_BYTES * (
                group.num_rows + 1
            ):
                found = f"{group.total_byte_size:,} bytes and {values:,} values in {group.num_rows:,} rows"
                raise DataError(Issue("too-large", path, found, "frames of 64x64", "put one pair in a row"))

    def columns(self, path: Path, columns: list[str]) -> Iterator[tuple[int, int, dict[str, Any]]]:
        """(row group, row of it, values by column) of every row of one file, for the small columns only."""
        file = self.files[path]
        try:
            for group in range(file.num_row_groups):
                row = 0
                for batch in file.iter_batches(BATCH, row_groups=[group], columns=columns):
                    for values in batch.to_pylist():
                        yield group, row, values
                        row += 1
        except self.broken as error:
            raise _unreadable(path, error) from None

    def value(self, cell: Cell, columns: tuple[str, ...]) -> "pa.Scalar":
        """One value; `columns` are decoded with it, since the next call may well ask for those."""
        with self.lock:
            for start, batch in self.kept:
                if self.at == (cell.path, cell.group, columns) and start <= cell.row < start + len(batch):
                    return batch.column(cell.column)[cell.row - start]
            try:
                return self._decode(cell, columns)
            except self.broken as error:
                raise _unreadable(cell.path, error) from None

    def _decode(self, cell: Cell, columns: tuple[str, ...]) -> "pa.Scalar":
        if self.at != (cell.path, cell.group, columns) or cell.row < self.seen:
            file = self.files[cell.path]
            self.left = file.iter_batches(BATCH, row_groups=[cell.group], columns=list(columns))
            self.at, self.seen = (cell.path, cell.group, columns), 0
            self.kept.clear()
        for batch in self.left:
            start, self.seen = self.seen, self.seen + len(batch)
            self.kept.append((start, batch))
            if cell.row < self.seen:
                return batch.column(cell.column)[cell.row - start]
        raise ValueError(f"fewer rows than it says: {self.seen}")


def encode(place: Path, value: "pa.Scalar", shape: tuple[int, ...]) -> bytes:
    """A frame's or angles' file: bytes as they are (a struct's `bytes` too), numbers as an npy file of float32.

    Raises DataError for nothing, for more than a frame, and for numbers of another shape than `shape` or its product.
    """
    import pyarrow as pa

    if isinstance(value, pa.StructScalar):
        value = value["bytes"]
    if not value.is_valid:
        fix = "write the files' bytes into the data set"
        raise DataError(Issue("missing", place, "no bytes", "the file's own bytes", fix))
    if isinstance(value, (pa.BinaryScalar, pa.LargeBinaryScalar)):
        content = value.as_py()
        if not 0 < len(content) <= MAX_BYTES:
            kind, expected = ("too-large", f"at most {MAX_BYTES:,}") if content else ("empty", "a frame")
            raise DataError(Issue(kind, place, f"{len(content):,} bytes", expected, "put one frame of 64x64 there"))
        return content
    return npy(_numbers(place, value, shape))


def _numbers(place: Path, value: "pa.Scalar", shape: tuple[int, ...]) -> np.ndarray:
    values, outer = value.values, len(value.values)
    while hasattr(values, "flatten") and hasattr(values.type, "value_type"):
        values = values.flatten()
    numbers = values.to_numpy(zero_copy_only=False)
    if numbers.size != np.prod(shape) or outer not in (shape[0], numbers.size):
        found = f"{numbers.size:,} numbers in {outer:,}"
        fix = "write whole frames"
        raise DataError(Issue("shape", place, found, f"{' x '.join(map(str, shape))} numbers", fix))
    return numbers.astype(np.float32).reshape(shape)


def _unreadable(path: Path, error: Exception) -> DataError:
    reason = " ".join(f"{error}".split())[:200]
    return DataError(Issue("damaged", path, reason, "a whole parquet file", "download or write it again"))

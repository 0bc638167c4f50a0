"""Rows of parquet files, read one by one in little memory as long as they are requested roughly in their order."""

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
from pipeline.tools.importers.source import npy_bytes

if TYPE_CHECKING:
    import pyarrow as pa


BATCH_ROWS = 64  # rows decoded at a time
MAX_VALUES = 2 * IMAGE_SIZE * IMAGE_SIZE  # values in a column of one row
CACHED_BATCHES = 4  # more than one, since threads read a little out of order
BUFFER_BYTES = 1 << 20  # bytes of a column read from the disk at a time


class Cell(NamedTuple):
    """Where one value lies."""

    path: Path
    group: int  # row group of the file
    row: int  # in the group
    column: str


class Shards:
    """Open parquet files, and a cache of the rows that were decoded last."""

    def __init__(self, paths: list[Path]) -> None:
        """Open the files. Raises DataError for one that is not a whole parquet file, PipelineError without pyarrow."""
        try:
            import pyarrow
            import pyarrow.parquet as parquet
        except ImportError:
            raise PipelineError(f"{paths[0]}: needs pyarrow, which is not installed: {INSTALL_HINT}") from None
        self.lock = threading.Lock()
        self.read_errors = pyarrow.ArrowException, OSError, ValueError, NotImplementedError
        self.files = {}
        for path in paths:
            try:
                self.files[path] = parquet.ParquetFile(path, buffer_size=BUFFER_BYTES)
            except self.read_errors as error:
                raise _damaged(path, error) from None
            self._require_frame_sizes(path)
        self.position: tuple[Path, int, tuple[str, ...]] | None = None  # file, row group and columns being decoded
        self.batches: Iterator[pa.RecordBatch] = iter(())  # the rest of that row group
        self.decoded = 0  # rows of the group so far
        self.cache: deque[tuple[int, pa.RecordBatch]] = deque(maxlen=CACHED_BATCHES)  # (first row, batch)

    def _require_frame_sizes(self, path: Path) -> None:
        """Raise DataError for more bytes or values than pairs have, before any is decoded."""
        metadata = self.files[path].metadata
        for group in map(metadata.row_group, range(metadata.num_row_groups)):
            values = max(group.column(index).num_values for index in range(group.num_columns))
            limit = group.num_rows + 1
            if group.total_byte_size > MAX_BYTES * limit or values > MAX_VALUES * limit:
                found = f"{group.total_byte_size:,} bytes and {values:,} values in {group.num_rows:,} rows"
                raise DataError(Issue("too-large", path, found, "frames of 64x64", "put one pair in a row"))

    def small_columns(self, path: Path, columns: list[str]) -> Iterator[tuple[int, int, dict[str, Any]]]:
        """Yield (row group, row in it, values by column) for every row of one file. The columns must be small."""
        file = self.files[path]
        try:
            for group in range(file.num_row_groups):
                row = 0
                for batch in file.iter_batches(BATCH_ROWS, row_groups=[group], columns=columns):
                    for values in batch.to_pylist():
                        yield group, row, values
                        row += 1
        except self.read_errors as error:
            raise _damaged(path, error) from None

    def value(self, cell: Cell, columns: tuple[str, ...]) -> "pa.Scalar":
        """Return one value. `columns` are decoded with it, since the next call probably needs one of them."""
        with self.lock:
            for start, batch in self.cache:
                if self.position == (cell.path, cell.group, columns) and start <= cell.row < start + len(batch):
                    return batch.column(cell.column)[cell.row - start]
            try:
                return self._decode(cell, columns)
            except self.read_errors as error:
                raise _damaged(cell.path, error) from None

    def _decode(self, cell: Cell, columns: tuple[str, ...]) -> "pa.Scalar":
        position = cell.path, cell.group, columns
        if self.position != position or cell.row < self.decoded:
            file = self.files[cell.path]
            self.batches = file.iter_batches(BATCH_ROWS, row_groups=[cell.group], columns=list(columns))
            self.position, self.decoded = position, 0
            self.cache.clear()
        for batch in self.batches:
            start, self.decoded = self.decoded, self.decoded + len(batch)
            self.cache.append((start, batch))
            if cell.row < self.decoded:
                return batch.column(cell.column)[cell.row - start]
        raise ValueError(f"fewer rows than it declares: {self.decoded}")


def encode(path: Path, value: "pa.Scalar", shape: tuple[int, ...]) -> bytes:
    """Return the file of a frame or of angles: bytes as they are, numbers as an npy file of float32 of that shape.

    A struct stands for its field `bytes`; `path` is for the message. Raises DataError for no value, for more bytes than
    a frame has, and for another count of numbers.
    """
    import pyarrow as pa

    if isinstance(value, pa.StructScalar):
        value = value["bytes"]
    if not value.is_valid:
        hint = "write the files' bytes into the data set"
        raise DataError(Issue("missing", path, "no bytes", "the file's own bytes", hint))
    if isinstance(value, (pa.BinaryScalar, pa.LargeBinaryScalar)):
        content = value.as_py()
        if not 0 < len(content) <= MAX_BYTES:
            code, expected = ("too-large", f"at most {MAX_BYTES:,}") if content else ("empty", "a frame")
            raise DataError(Issue(code, path, f"{len(content):,} bytes", expected, "put one frame of 64x64 there"))
        return content
    return npy_bytes(_numbers(path, value, shape))


def _numbers(path: Path, value: "pa.Scalar", shape: tuple[int, ...]) -> np.ndarray:
    """Return a list, flat or nested, as an array (*shape) float32."""
    values, outer = value.values, len(value.values)
    while hasattr(values, "flatten") and hasattr(values.type, "value_type"):
        values = values.flatten()
    numbers = values.to_numpy(zero_copy_only=False)
    if numbers.size != np.prod(shape) or outer not in (shape[0], numbers.size):
        found, expected = f"{numbers.size:,} numbers in {outer:,}", f"{' x '.join(map(str, shape))} numbers"
        raise DataError(Issue("shape", path, found, expected, "write whole frames"))
    return numbers.astype(np.float32).reshape(shape)


def _damaged(path: Path, error: Exception) -> DataError:
    reason = " ".join(f"{error}".split())[:200]
    return DataError(Issue("damaged", path, reason, "a whole parquet file", "download or write it again"))

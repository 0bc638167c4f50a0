"""A foreign data set as the importer sees it: its files under the paths of the raw layout, read on request."""

import hashlib
import io
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np


@dataclass(frozen=True)
class Source:
    """A data set that lies somewhere else. Opening it reads names and indexes, not the frames."""

    title: str  # for messages: what the source is and where it lies
    files: Mapping[str, str]  # raw path (`cubes/rgb/0000.png`, `cubes/azimuth.npy`) -> member: its name in the source
    read: Callable[[str], bytes]  # member -> its bytes; raises DataError
    fingerprint: str  # changes when the source changes, so that an interrupted import resumes only from equal data
    notes: tuple[str, ...] = ()  # deviations from the raw layout that were accepted, one sentence each
    prefix: str = ""  # precedes a member where a message names the file

    def display_path(self, raw_path: str) -> Path:
        """Return where a file of the raw layout lies in the source, for messages.

        A file that the source lacks is named in the folder of its neighbours.
        """
        parent, _, name = raw_path.rpartition("/")
        if raw_path in self.files:
            return Path(self.prefix + self.files[raw_path])
        neighbours = (member for path, member in self.files.items() if path.rpartition("/")[0] == parent)
        folder = next(neighbours, raw_path).rpartition("/")[0]
        return Path(f"{self.prefix}{folder}/{name}")


def compute_fingerprint(values: Iterable[object]) -> str:
    """Return a hash of the values in their order, 32 hexadecimal digits."""
    digest = hashlib.blake2b(digest_size=16)
    for value in values:
        digest.update(repr(value).encode(errors="backslashreplace") + b"\n")
    return digest.hexdigest()


def file_stamp(path: Path) -> tuple[int, int] | None:
    """Return size in bytes and modification time in nanoseconds; None for a link that leads nowhere."""
    try:
        status = path.stat()
    except OSError:  # reported when the file is read
        return None
    return status.st_size, status.st_mtime_ns


def npy_bytes(array: np.ndarray) -> bytes:
    """Return the bytes of the .npy file that `np.save` writes for the array in C order."""
    file = io.BytesIO()
    np.save(file, np.ascontiguousarray(array), allow_pickle=False)
    return file.getvalue()

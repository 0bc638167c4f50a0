"""What a foreign data set looks like to the importer: its files under the names of the raw contract."""

import hashlib
import io
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np


@dataclass(frozen=True)
class Source:
    """A data set somewhere else. Nothing of it is read before it is asked for."""

    title: str  # for people: what was found, and where
    files: Mapping[str, str]  # `cubes/rgb/0000.png`, `cubes/azimuth.npy` ... -> its name inside the source
    read: Callable[[str], bytes]  # name inside the source -> the file's bytes; raises DataError
    identity: str  # changes when the source does, so that an interrupted import goes on with the same
    notes: tuple[str, ...] = ()  # what was tolerated, a sentence each
    home: str = ""  # stands before a name inside where a message names the file

    def place(self, contract: str) -> Path:
        """Where a file of the contract lies in the source, for messages; an absent one lies beside its likes."""
        parent, _, name = contract.rpartition("/")
        likes = (inside for known, inside in self.files.items() if known.rpartition("/")[0] == parent)
        if contract in self.files:
            inside = self.files[contract]
        else:
            inside = "/".join([next(likes, contract).rpartition("/")[0], name])
        return Path(self.home + inside)

    def root(self) -> Path:
        """The source as a whole, for messages."""
        return Path(self.title)


def digest(facts: Iterable[object]) -> str:
    """A hash of facts in their order: the identity of a source."""
    told = hashlib.blake2b(digest_size=16)
    for fact in facts:
        told.update(repr(fact).encode(errors="backslashreplace") + b"\n")
    return told.hexdigest()


def stamp(path: Path) -> tuple[int, int] | None:
    """Size and time, which change when a file does."""
    try:
        status = path.stat()
    except OSError:  # a link that leads nowhere, say: told when it is read
        return None
    return status.st_size, status.st_mtime_ns


def npy(array: np.ndarray) -> bytes:
    """An array as the bytes of the .npy file that np.save writes of it in C order."""
    file = io.BytesIO()
    np.save(file, np.ascontiguousarray(array), allow_pickle=False)
    return file.getvalue()

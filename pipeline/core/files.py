"""Files that appear whole or not at all: text, JSON, tables, arrays, folders."""

import hashlib
import json
import os
import shutil
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal
from zipfile import BadZipFile

import numpy as np

from pipeline.core.errors import PipelineError

if TYPE_CHECKING:
    import pandas as pd


def sha256(path: Path) -> str:
    """Return the SHA-256 of a file, by which it can be recognised later."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


@contextmanager
def atomic(path: Path) -> Iterator[Path]:
    """Yield a temporary sibling of `path` to write to; it is renamed to `path` only if the block ends well.

    Raises PipelineError if the disk is full or the folder bars writing.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    with _name_failures(path):
        handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.", suffix=path.suffix)
        os.close(handle)
        try:
            yield Path(name)
            with suppress(OSError):  # exFAT, CIFS and other mounts have no modes
                os.chmod(name, 0o644)  # mkstemp makes it private; results are to be shared
            os.replace(name, path)
        finally:
            Path(name).unlink(missing_ok=True)


@contextmanager
def _name_failures(path: Path) -> Iterator[None]:
    """Raise a failure to write as a PipelineError with `path`: a full disk names no file, and others a hidden one."""
    try:
        yield
    except OSError as error:
        if error.filename is not None and f".{path.name}." not in str(error.filename):  # of another file
            raise
        raise PipelineError(
            f"{path}: cannot be written ({error.strerror or error}); it is as it was before; "
            "free space on its disk or make its folder writable, and run it again"
        ) from None


@contextmanager
def atomic_folder(folder: Path) -> Iterator[Path]:
    """Yield a hidden sibling of `folder` to fill; it replaces `folder` only if the block ends well.

    Raises PipelineError if the disk is full or the parent folder bars writing.
    """
    partial = folder.with_name(f".{folder.name}.partial")
    shutil.rmtree(partial, ignore_errors=True)  # what a killed run left
    with _name_failures(folder):
        partial.mkdir(parents=True)
        try:
            yield partial
            shutil.rmtree(folder, ignore_errors=True)
            os.rename(partial, folder)
        finally:
            shutil.rmtree(partial, ignore_errors=True)


@contextmanager
def resumable_folder(folder: Path, key: str) -> Iterator[Path]:
    """Yield a hidden sibling as `atomic_folder` does, and leave it after a kill for the next call with an equal `key`.

    `key` identifies the content and its sources; leftovers of another key or of a failure are deleted.
    Raises PipelineError if the disk is full or the parent folder bars writing.
    """
    partial = folder.with_name(f".{folder.name}.partial")
    mark = partial / "key"
    with _name_failures(folder):
        if not mark.is_file() or mark.read_text() != key:
            shutil.rmtree(partial, ignore_errors=True)
            partial.mkdir(parents=True)
            mark.write_text(key)  # a cut one is that of another content
        try:
            yield partial
        except Exception:  # not KeyboardInterrupt: that is to be gone on from
            shutil.rmtree(partial, ignore_errors=True)
            raise
        mark.unlink()
        shutil.rmtree(folder, ignore_errors=True)
        os.rename(partial, folder)


def write_text(path: Path, text: str) -> None:
    """Write `text` atomically, in UTF-8 with Unix line ends on every system."""
    with atomic(path) as part:
        part.write_text(text, encoding="utf-8", newline="\n")


def write_json(path: Path, content: Any) -> None:
    """Write JSON atomically; raises ValueError on not-a-number, which other readers of JSON cannot parse."""
    write_text(path, json.dumps(content, indent=2, allow_nan=False) + "\n")


def read_json(path: Path) -> Any:
    """Return parsed JSON; raises PipelineError if the file is absent or broken."""
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise PipelineError(f"{path}: not found; run `dvc repro` to make it") from None
    except ValueError as error:
        raise PipelineError(f"{path}: not valid JSON ({error}); delete it and run `dvc repro`") from None


def read_tsv(path: Path) -> "pd.DataFrame":
    """Return a tab-separated table; raises PipelineError if the file is absent or broken."""
    import pandas as pd  # half a second that most readers do without

    try:
        return pd.read_csv(path, sep="\t")
    except FileNotFoundError:
        raise PipelineError(f"{path}: not found; run `dvc repro` to make it") from None
    except (ValueError, OSError) as error:
        raise PipelineError(
            f"{path}: not a readable table ({str(error).strip()}); delete it and run `dvc repro`"
        ) from None


def write_npy(path: Path, array: np.ndarray) -> None:
    """Write one .npy file atomically."""
    with atomic(path) as part, part.open("wb") as file:
        np.save(file, array, allow_pickle=False)


def map_rows(folder: Path, parts: Iterable[np.ndarray]) -> np.ndarray:
    """Write arrays (n, ...) one after another to an unnamed file in `folder`, and return it mapped to memory: (N, ...).

    The rows take disk in place of memory. The file ends with the array, at the latest with the process. Raises
    PipelineError if the disk is full.
    """
    with _name_failures(folder), tempfile.TemporaryFile(dir=folder) as file:
        for part in parts:
            file.write(np.ascontiguousarray(part).data)  # not through a map: a full disk would kill the process
        file.flush()
        return np.memmap(file, part.dtype, "c").reshape(-1, *part.shape[1:])


def read_npy(path: Path, mmap_mode: Literal["r", "c"] | None = None) -> np.ndarray:
    """Return the array of a .npy file without unpickling; raises PipelineError if absent, truncated or not an array."""
    try:
        array = np.load(path, mmap_mode=mmap_mode, allow_pickle=False)
        if not isinstance(array, np.ndarray):
            raise ValueError("an archive of arrays")
        return array
    except FileNotFoundError:
        raise PipelineError(f"{path}: not found; run `dvc repro` to make it") from None
    except (ValueError, OSError, EOFError, BadZipFile) as error:
        raise PipelineError(f"{path}: not a whole .npy array ({error}); delete it and run `dvc repro`") from None

"""A folder as a source: its file names at any depth. Links to other folders are not followed."""

import os
from collections.abc import Iterator
from pathlib import Path

from pipeline.core.sensors import CLASSES, SENSORS
from pipeline.raw.format import DataError, Issue, read_bytes
from pipeline.tools.importers.formats.locate import locate, note_backslashes, with_slashes
from pipeline.tools.importers.source import Source, compute_fingerprint, file_stamp

MAX_FILES = 500_000  # a whole set has 40,004; the root of a disk is refused
LAYOUT_NAMES = {*CLASSES, *SENSORS}


def open_folder(folder: Path, title: str) -> Source | None:
    """Return the set that lies in a folder at any depth; None where no frame does. Raises DataError, see `locate`."""
    paths = {name: with_slashes(name) for name in list_names(folder)}  # an archive of Windows may be unpacked into one
    layout = locate(paths, lambda name: read_bytes(folder / name), lambda name: folder / name)
    if layout is None:
        return None
    stamps = (file_stamp(folder / name) for name in layout.files.values())
    fingerprint = compute_fingerprint([str(folder.resolve()), *zip(layout.files.items(), stamps, strict=True)])
    notes = (*layout.notes, *note_backslashes(layout.files.values()))
    return Source(
        title, layout.files, lambda name: read_bytes(folder / name), fingerprint, notes, prefix=f"{folder}{os.sep}"
    )


def list_names(folder: Path) -> Iterator[str]:
    """Yield every file below a folder, relative to it, with `/` between names and in order.

    Whatever is not a folder counts as a file. Raises DataError for a folder that cannot be read, for more than
    MAX_FILES entries, and for a class or sensor folder that is a link.
    """
    pending, count = [""], 0
    while pending:
        parent = pending.pop()
        try:
            with os.scandir(folder / parent) as entries:
                ordered = sorted(entries, key=lambda entry: entry.name)
        except OSError as error:
            hint = "fix its permissions, or name a folder inside"
            raise DataError(
                Issue("unreadable", folder / parent, str(error.strerror), "a readable folder", hint)
            ) from None
        count += len(ordered)
        if count > MAX_FILES:
            hint = "name the folder that holds cubes/ and spheres/"
            raise DataError(Issue("too-many", folder, f"over {MAX_FILES:,} files", "one data set", hint))
        if links := [entry for entry in ordered if entry.name.lower() in LAYOUT_NAMES and _is_link_to_folder(entry)]:
            hint = "name or copy the folder that it leads to"
            raise DataError(*(Issue("link", Path(link.path), "a link to a folder", "a folder", hint) for link in links))
        pending += [f"{parent}{entry.name}/" for entry in reversed(ordered) if entry.is_dir(follow_symlinks=False)]
        yield from (parent + entry.name for entry in ordered if not entry.is_dir(follow_symlinks=False))


def _is_link_to_folder(entry: os.DirEntry) -> bool:
    return entry.is_symlink() and entry.is_dir()

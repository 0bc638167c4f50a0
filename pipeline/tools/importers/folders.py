"""A folder as a source: its names, without following links to other folders, and its files, of which none is run."""

import os
from collections.abc import Iterator
from pathlib import Path

from pipeline.core.sensors import CLASSES, SENSORS
from pipeline.raw.format import DataError, Issue, read_bytes
from pipeline.tools.importers.locate import locate
from pipeline.tools.importers.source import Source, digest, stamp

MAX_FILES = 500_000  # a whole set has 40,004; who names the root of a disk is told so
WORDS = {*CLASSES, *SENSORS}


def open_folder(folder: Path, title: str) -> Source | None:
    """The set that stands somewhere in a folder; None where no frame does. Raises DataError, see `layout.find`."""
    tree = {name: name for name in list_names(folder)}
    found = locate(tree, lambda name: read_bytes(folder / name), lambda name: folder / name)
    if found is None:
        return None
    stamps = (stamp(folder / name) for name in found.files.values())
    identity = digest([str(folder.resolve()), *zip(found.files.items(), stamps, strict=True)])
    home = f"{folder}{os.sep}"
    return Source(title, found.files, lambda name: read_bytes(folder / name), identity, tuple(found.notes), home)


def list_names(folder: Path) -> Iterator[str]:
    """Every file below a folder, `/` between names, in order; what is no folder counts as a file."""
    todo, count = [""], 0
    while todo:
        within = todo.pop()
        try:
            with os.scandir(folder / within) as entries:
                ordered = sorted(entries, key=lambda entry: entry.name)
        except OSError as error:
            reason, fix = str(error.strerror), "mend its permissions, or name a folder inside"
            raise DataError(Issue("unreadable", folder / within, reason, "a readable folder", fix)) from None
        count += len(ordered)
        if count > MAX_FILES:
            fix = "name the folder that holds cubes/ and spheres/"
            raise DataError(Issue("too-many", folder, f"over {MAX_FILES:,} files", "one data set", fix))
        if links := [entry for entry in ordered if entry.name.lower() in WORDS and _is_link_to_folder(entry)]:
            fix = "name or copy the folder that it leads to"
            raise DataError(*(Issue("link", Path(link.path), "a link to a folder", "a folder", fix) for link in links))
        todo += [f"{within}{entry.name}/" for entry in reversed(ordered) if entry.is_dir(follow_symlinks=False)]
        yield from (within + entry.name for entry in ordered if not entry.is_dir(follow_symlinks=False))


def _is_link_to_folder(entry: os.DirEntry) -> bool:
    return entry.is_symlink() and entry.is_dir()

"""Zip and tar archives as a source, alone or several together. Nothing is extracted into the file system."""

import os
import re
from pathlib import Path

from pipeline.raw.format import FILE_KINDS, DataError, Issue
from pipeline.tools.importers.formats.archive_member import Member, member_issue
from pipeline.tools.importers.formats.locate import locate, note_backslashes
from pipeline.tools.importers.formats.tar_archive import TarArchive, is_tar
from pipeline.tools.importers.formats.zip_archive import ZipArchive
from pipeline.tools.importers.source import Source, compute_fingerprint

Archive = ZipArchive | TarArchive
ARCHIVE_SUFFIXES = (".zip", ".tar", ".tar.gz", ".tgz", ".tar.bz2", ".tbz2")
MAX_ARCHIVES = 64  # archives in one folder
UNREADABLE_SUFFIXES = (".7z", ".rar", ".tar.xz", ".txz", ".tar.zst")
UNREADABLE = {  # by their first bytes: compressed files that a message names
    b"7z\xbc\xaf'\x1c": "a 7z archive",
    b"Rar!\x1a\x07": "a RAR archive",
    b"\xfd7zXZ\0": "a file packed by xz",
    b"\x28\xb5\x2f\xfd": "a file packed by Zstandard",
}


def open_archives(paths: list[Path], home: Path, title: str) -> Source | None:
    """Return the set in one archive, or in several together (`cubes.zip`, `spheres.zip`); None where no frame is.

    Raises DataError for whatever an honest archive does not need, before any frame is parsed.
    """
    if len(paths) > MAX_ARCHIVES:
        hint = "name the one with the set, or unpack them"
        raise DataError(Issue("too-many", home, f"{len(paths):,} archives", f"at most {MAX_ARCHIVES}", hint))
    members: dict[str, tuple[Archive, Member]] = {}  # by their names in the source
    tree: dict[str, str] = {}
    for path in paths:
        archive = _open_archive(path)
        prefix = f"{_stem(path)}/" if len(paths) > 1 else ""
        for member in archive.members():
            name = f"{os.path.relpath(path, home)}:{member.path}"
            first = tree.setdefault(prefix + member.path, name)
            _require_equal(path, member, members.get(first, (archive, member))[1], first)
            members[first] = archive, member

    def read(name: str) -> bytes:
        archive, member = members[name]
        return archive.read(member)

    whole = paths[0] if len(paths) == 1 else home
    layout = locate({name: path for path, name in tree.items()}, read, lambda name: home / name if name else whole)
    if layout is None:
        return None
    notes = (*layout.notes, *note_backslashes(member.name for _, member in members.values()))
    members = {name: members[name] for name in layout.files.values()}
    facts = ((raw_path, members[name][1].checksum, members[name][1].size) for raw_path, name in layout.files.items())
    prefix = "" if home == Path() else f"{home}{os.sep}"
    return Source(title, layout.files, read, compute_fingerprint(facts), notes, prefix)


def _open_archive(path: Path) -> Archive:
    """Open a file by its content: an archive may have any name."""
    with path.open("rb") as file:
        start = file.read(512)
    if start.startswith(b"PK"):
        return ZipArchive(path)
    if is_tar(start):
        return TarArchive(path)
    for magic, kind in UNREADABLE.items():
        if start.startswith(magic):
            hint = "unpack it and name the folder"
            raise DataError(Issue("not-an-archive", path, kind, "a zip or tar archive", hint))
    kind = next((kind for magic, kind in FILE_KINDS.items() if start.startswith(magic)), f"{start[:8]!r}")
    raise DataError(Issue("not-an-archive", path, kind, "a zip or tar archive", "download or copy it again"))


def _require_equal(path: Path, member: Member, first: Member, name: str) -> None:
    """Raise DataError unless two members of one name have equal checksums and sizes."""
    if (member.checksum, member.size) != (first.checksum, first.size):
        found = f"other bytes than {name}"
        raise DataError(member_issue(path, member.name, "two-versions", found, "every name once", "pack the set again"))


def _stem(path: Path) -> str:
    """Return the name without suffix and part: `assessment-20260101T000000Z-001` and `-002` are one download."""
    suffix = next((suffix for suffix in ARCHIVE_SUFFIXES if path.name.lower().endswith(suffix)), path.suffix)
    return re.sub(r"-\d{3}$", "", path.name[: len(path.name) - len(suffix)])

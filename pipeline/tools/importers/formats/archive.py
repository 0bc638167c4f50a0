"""Zip archives as a source. Sizes and names that an archive claims are checked before a member is read.

Nothing is extracted: bytes go through zipfile, and the importer writes them under the names of the raw layout.
"""

import io
import os
import re
import stat
import struct
import threading
import zipfile
import zlib
from collections.abc import Iterator
from itertools import islice
from pathlib import Path

from pipeline.core.errors import printable
from pipeline.raw.format import FILE_KINDS, MAX_BYTES, DataError, Issue
from pipeline.tools.importers.formats.locate import locate
from pipeline.tools.importers.source import Source, compute_fingerprint

MAX_MEMBERS = 100_000  # a whole set has 40,004, and as many again in __MACOSX
MAX_DIRECTORY_BYTES = 24 << 20  # of the archive's own list of members; a whole set's has about 5 million
MAX_RATIO = 200  # unpacked to packed bytes; zip packs a simulated set 28 to 1 and its emptiest file 63 to 1
MAX_ARCHIVES = 64  # in one folder
MAX_ISSUES = 1000  # collected from one archive
MAX_LISTED_MEMBERS = 300  # characters of a member's name in a message
MEMBER = b"PK\x01\x02"  # begins each entry of the list of members
METHODS = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)  # the others can unpack a few bytes to any amount at once


def open_archives(paths: list[Path], home: Path, title: str) -> Source | None:
    """Return the set in one archive, or in several together (`cubes.zip`, `spheres.zip`); None where no frame is.

    Raises DataError for whatever an honest archive does not need, before any member is read.
    """
    if len(paths) > MAX_ARCHIVES:
        hint = "name the one with the set, or unpack them"
        raise DataError(Issue("too-many", home, f"{len(paths):,} archives", f"at most {MAX_ARCHIVES}", hint))
    members: dict[str, tuple[Archive, zipfile.ZipInfo]] = {}  # by their names in the source
    tree: dict[str, str] = {}
    backslashes: list[str] = []
    for path in paths:
        archive = Archive(path)
        prefix = f"{_stem(path)}/" if len(paths) > 1 else ""
        for info in archive.members():
            inside = _normalize(info.filename)
            name = f"{os.path.relpath(path, home)}:{inside}"
            first = tree.setdefault(prefix + inside, name)
            backslashes += [info.filename] if "\\" in info.filename else []
            if first in members:
                archive.require_equal(info, members[first][1], first)
            members[first] = archive, info

    def read(name: str) -> bytes:
        archive, info = members[name]
        return archive.read(info)

    whole = paths[0] if len(paths) == 1 else home
    layout = locate(tree, read, lambda name: home / name if name else whole)
    if layout is None:
        return None
    notes = list(layout.notes)
    if backslashes:
        notes.append(f"{len(backslashes):,} names have \\ between folders, such as {printable(backslashes[0])}")
    members = {name: members[name] for name in layout.files.values()}
    facts = ((raw_path, members[name][1].CRC, members[name][1].file_size) for raw_path, name in layout.files.items())
    return Source(title, layout.files, read, compute_fingerprint(facts), tuple(notes), folder_prefix(home))


def folder_prefix(folder: Path) -> str:
    """Return what precedes a file of the folder in a message: nothing for the working directory."""
    return "" if folder == Path() else f"{folder}{os.sep}"


def _normalize(name: str) -> str:
    """Return a member's name with `/` between folders and without the `./` that bsdtar writes."""
    return "/".join(part for part in re.split(r"[/\\]", name) if part not in ("", "."))


def _stem(path: Path) -> str:
    """Return the name without suffix and part: `assessment-20260101T000000Z-001` and `-002` are one download."""
    return re.sub(r"-\d{3}$", "", path.stem)


class Archive:
    """One zip file whose list of members is checked before they are read. Threads may share it."""

    def __init__(self, path: Path) -> None:
        """Open a zip file. Raises DataError when it is not whole or has more members than a set can have."""
        self.path = path
        self.lock = threading.Lock()  # there is one file handle
        try:
            self.zip = zipfile.ZipFile(_LimitedFile(path))
        except DataError:
            raise
        except (zipfile.BadZipFile, NotImplementedError, ValueError, OSError, struct.error) as error:
            found, hint = _describe_content(path, error), "download or copy it again"
            raise DataError(Issue("not-a-zip", path, found, "a whole zip archive", hint)) from None

    def members(self) -> Iterator[zipfile.ZipInfo]:
        """Yield its files. Raises DataError with all members that are not to be trusted."""
        infos = self.zip.infolist()
        issues = list(islice((issue for info in infos for issue in self._check(info)), MAX_ISSUES))
        unpacked, packed = sum(info.file_size for info in infos), self.path.stat().st_size
        if unpacked > MAX_RATIO * packed:
            found, hint = f"{unpacked:,} bytes packed in {packed:,}", "pack the set itself again"
            issues.append(self._issue(None, "bomb", found, f"at most {MAX_RATIO} to 1", hint))
        if issues:
            raise DataError(*issues)
        return (info for info in infos if not info.filename.endswith(("/", "\\")))

    def read(self, info: zipfile.ZipInfo) -> bytes:
        """Return a member's bytes. Raises DataError for none, for too many, and for others than the archive claims."""
        if info.file_size > MAX_BYTES:
            found, hint = f"{info.file_size:,} bytes", "put one frame of 64x64 there"
            raise DataError(self._issue(info, "too-large", found, f"at most {MAX_BYTES:,}", hint))
        hint = "download or pack it again"
        try:
            with self.lock, self.zip.open(info) as member:
                content = member.read(MAX_BYTES + 1)  # zipfile ends at the declared size, and checks the checksum
        except (zipfile.BadZipFile, zlib.error, EOFError, OSError, RuntimeError, ValueError) as error:
            reason = " ".join(f"{error or type(error).__name__}".split())[:200]
            raise DataError(self._issue(info, "damaged", reason, "a readable member", hint)) from None
        if len(content) != info.file_size:
            raise DataError(self._issue(info, "truncated", f"{len(content):,} bytes", f"{info.file_size:,}", hint))
        if not content:
            raise DataError(self._issue(info, "empty", "0 bytes", "a readable file", "restore it"))
        return content

    def require_equal(self, info: zipfile.ZipInfo, other: zipfile.ZipInfo, name: str) -> None:
        """Raise DataError unless two members of one name have equal checksums and sizes."""
        if (info.CRC, info.file_size) != (other.CRC, other.file_size):
            found = f"other bytes than {name}"
            raise DataError(self._issue(info, "two-versions", found, "every name once", "pack the set again"))

    def _check(self, info: zipfile.ZipInfo) -> Iterator[Issue]:
        """Yield an issue for everything that a member declares and no set of frames needs."""
        name, file_type = info.orig_filename, stat.S_IFMT(info.external_attr >> 16)
        hint = "pack the set again, from its own folder"
        if not name:
            yield self._issue(info, "path", "a member without a name", "names", hint)
        elif name.startswith(("/", "\\")) or re.match("[A-Za-z]:", name) or ".." in re.split(r"[/\\]", name):
            yield self._issue(info, "path", "a name that leads out of the archive", "names inside", hint)
        elif "\0" in name:
            found = f"the name {name[:MAX_LISTED_MEMBERS]!r}"
            yield self._issue(info, "path", found, "names without a zero byte", hint)
        if file_type not in (0, stat.S_IFREG, stat.S_IFDIR):
            found = "a link" if file_type == stat.S_IFLNK else "a device or pipe"
            yield self._issue(info, "not-a-file", found, "files and folders", hint)
        if info.flag_bits & 1:
            yield self._issue(info, "encrypted", "an encrypted member", "readable ones", "pack it without a password")
        elif info.compress_type not in METHODS:
            found = f"compression method {info.compress_type}"
            yield self._issue(info, "method", found, "stored or deflated members", hint)

    def _issue(self, info: zipfile.ZipInfo | None, code: str, found: str, expected: str, hint: str) -> Issue:
        name = f":{info.filename[:MAX_LISTED_MEMBERS]}" if info else ""
        return Issue(code, Path(f"{self.path}{name}"), found, expected, hint)


class _LimitedFile(io.FileIO):
    """A file that refuses to give more at once than the list of members of an honest archive takes."""

    def read(self, size: int = -1) -> bytes:
        remaining = os.fstat(self.fileno()).st_size - self.tell()
        if (remaining if size < 0 else min(size, remaining)) > MAX_DIRECTORY_BYTES:
            raise self._refuse(f"a list of members of over {MAX_DIRECTORY_BYTES:,} bytes")
        content = super().read(size)
        if content.count(MEMBER) > MAX_MEMBERS:
            raise self._refuse(f"over {MAX_MEMBERS:,} members")
        return content

    def _refuse(self, found: str) -> DataError:
        return DataError(Issue("too-many", Path(str(self.name)), found, "one data set", "pack the set alone"))


def _describe_content(path: Path, error: Exception) -> str:
    """Return what a file is that zipfile cannot open."""
    with path.open("rb") as file:
        start = file.read(32)
    if start.startswith(b"PK"):
        return f"a zip file cut short or damaged ({error})"
    return next((kind for magic, kind in FILE_KINDS.items() if start.startswith(magic)), f"{start[:8]!r}")

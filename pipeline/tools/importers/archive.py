"""Zip archives as a source. Members are only ever read, by their number of bytes and never by their word.

Nothing is extracted: bytes go through zipfile, and the importer writes them under the contract's names.
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

from pipeline.raw.format import FILE_KINDS, MAX_BYTES, DataError, Issue
from pipeline.tools.importers.locate import locate
from pipeline.tools.importers.source import Source, digest

MAX_MEMBERS = 100_000  # a whole set has 40,004, and as many again in __MACOSX
MAX_DIRECTORY_BYTES = 24 << 20  # bytes of the archive's own list of members; a set's has about 5 million
MAX_RATIO = 200  # bytes out of one in the archive; zip makes 28 of 1 of a simulated set, 63 of 1 of its emptiest file
MAX_ARCHIVES = 64  # in one folder
MAX_ISSUES = 1000  # told of one archive
MAX_LISTED_MEMBERS = 300  # characters of a member's name
MEMBER = b"PK\x01\x02"  # begins each entry of that list
METHODS = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)  # the others can give any amount from a few bytes at once


def open_archives(paths: list[Path], home: Path, title: str) -> Source | None:
    """The set in one archive, or in several together (`cubes.zip`, `spheres.zip`); None where there is no frame.

    Raises DataError for whatever an honest archive has no need of, before any member is read.
    """
    if len(paths) > MAX_ARCHIVES:
        fix = "name the one with the set, or unpack them"
        raise DataError(Issue("too-many", home, f"{len(paths):,} archives", f"at most {MAX_ARCHIVES}", fix))
    members: dict[str, tuple[Archive, zipfile.ZipInfo]] = {}  # by their names inside the source
    tree: dict[str, str] = {}
    for path in paths:
        archive = Archive(path)
        prefix = f"{_stem(path)}/" if len(paths) > 1 else ""
        for info in archive.members():
            inside = f"{os.path.relpath(path, home)}:{info.filename}"
            first = tree.setdefault(prefix + info.filename, inside)
            if first in members:
                archive.demand_same(info, members[first][1], first)
            members[first] = archive, info

    def read(name: str) -> bytes:
        archive, info = members[name]
        return archive.read(info)

    whole = paths[0] if len(paths) == 1 else home
    found = locate(tree, read, lambda name: home / name if name else whole)
    if found is None:
        return None
    members = {name: members[name] for name in found.files.values()}
    facts = ((contract, members[name][1].CRC, members[name][1].file_size) for contract, name in found.files.items())
    before = "" if home == Path() else f"{home}{os.sep}"
    return Source(title, found.files, read, digest(facts), tuple(found.notes), before)


def _stem(path: Path) -> str:
    """`assessment-20260101T000000Z-001` and `-002` are two parts of one download."""
    return re.sub(r"-\d{3}$", "", path.stem)


class Archive:
    """One zip file, looked through for what is not to be trusted."""

    def __init__(self, path: Path) -> None:
        """Raises DataError for what is no whole zip archive, or has more members than a set can have."""
        self.path = path
        self.lock = threading.Lock()  # one file handle
        try:
            self.file = _Guarded(path)
            self.zip = zipfile.ZipFile(self.file)
        except DataError:
            raise
        except (zipfile.BadZipFile, NotImplementedError, ValueError, OSError, struct.error) as error:
            fix = "download or copy it again"
            raise DataError(Issue("not-a-zip", path, _what(path, error), "a whole zip archive", fix)) from None

    def members(self) -> Iterator[zipfile.ZipInfo]:
        """Its files. Raises DataError with all members that are not to be trusted."""
        infos = self.zip.infolist()
        faults = list(islice((fault for info in infos for fault in self._suspect(info)), MAX_ISSUES))
        given, size = sum(info.file_size for info in infos), self.path.stat().st_size
        if given > MAX_RATIO * size:
            found = f"{given:,} bytes packed in {size:,}"
            faults.append(self._fault(None, "bomb", found, f"at most {MAX_RATIO} to 1", "pack the set itself again"))
        if faults:
            raise DataError(*faults)
        return (info for info in infos if not info.is_dir())

    def read(self, info: zipfile.ZipInfo) -> bytes:
        """A member's bytes; raises DataError when they are none, too many or not what the archive says of them."""
        if info.file_size > MAX_BYTES:
            found = f"{info.file_size:,} bytes"
            raise DataError(
                self._fault(info, "too-large", found, f"at most {MAX_BYTES:,}", "put one frame of 64x64 there")
            )
        try:
            with self.lock, self.zip.open(info) as member:
                content = member.read(MAX_BYTES + 1)  # zipfile gives no more than was declared, and checks the sum
        except (zipfile.BadZipFile, zlib.error, EOFError, OSError, RuntimeError, ValueError) as error:
            reason = " ".join(f"{error or type(error).__name__}".split())[:200]
            fix = "download or pack it again"
            raise DataError(self._fault(info, "damaged", reason, "a readable member", fix)) from None
        if len(content) != info.file_size:
            found = f"{len(content):,} bytes"
            raise DataError(self._fault(info, "truncated", found, f"{info.file_size:,}", "download or pack it again"))
        if not content:
            raise DataError(self._fault(info, "empty", "0 bytes", "a readable file", "restore it"))
        return content

    def demand_same(self, info: zipfile.ZipInfo, other: zipfile.ZipInfo, name: str) -> None:
        """Raises DataError unless a member that comes a second time under one name is what the first is."""
        if (info.CRC, info.file_size) != (other.CRC, other.file_size):
            found = f"other bytes than {name}"
            raise DataError(self._fault(info, "two-versions", found, "every name once", "pack the set again"))

    def _suspect(self, info: zipfile.ZipInfo) -> Iterator[Issue]:
        """What a member says of itself that no set of frames needs."""
        name, kind = info.orig_filename, stat.S_IFMT(info.external_attr >> 16)
        fix = "pack the set again, from its own folder"
        if not name:
            yield self._fault(info, "path", "a member without a name", "names", fix)
        elif name.startswith("/") or re.match("[A-Za-z]:", name) or ".." in re.split(r"[/\\]", name):
            yield self._fault(info, "path", "a name that leads out of the archive", "names inside", fix)
        elif "\\" in name or "\0" in name:
            yield self._fault(
                info, "path", f"the name {name[:MAX_LISTED_MEMBERS]!r}", "names with / between folders", fix
            )
        if kind not in (0, stat.S_IFREG, stat.S_IFDIR):
            what = "a link" if kind == stat.S_IFLNK else "a device or pipe"
            yield self._fault(info, "not-a-file", what, "files and folders", fix)
        if info.flag_bits & 1:
            yield self._fault(info, "encrypted", "an encrypted member", "readable ones", "pack it without a password")
        elif info.compress_type not in METHODS:
            found = f"compression method {info.compress_type}"
            yield self._fault(info, "method", found, "stored or deflated members", fix)

    def _fault(self, info: zipfile.ZipInfo | None, kind: str, found: str, expected: str, fix: str) -> Issue:
        name = f":{info.filename[:MAX_LISTED_MEMBERS]}" if info else ""
        return Issue(kind, Path(f"{self.path}{name}"), found, expected, fix)


class _Guarded(io.FileIO):
    """A file that gives no more at once than the list of members of an honest archive takes."""

    def read(self, size: int = -1) -> bytes:
        left = os.fstat(self.fileno()).st_size - self.tell()
        if (left if size < 0 else min(size, left)) > MAX_DIRECTORY_BYTES:
            raise self._refuse(f"a list of members of over {MAX_DIRECTORY_BYTES:,} bytes")
        data = super().read(size)
        if data.count(MEMBER) > MAX_MEMBERS:
            raise self._refuse(f"over {MAX_MEMBERS:,} members")
        return data

    def _refuse(self, found: str) -> DataError:
        return DataError(Issue("too-many", Path(str(self.name)), found, "one data set", "pack the set alone"))


def _what(path: Path, error: Exception) -> str:
    """What a file is that zipfile can make nothing of."""
    with path.open("rb") as file:
        start = file.read(32)
    known = (name for magic, name in FILE_KINDS.items() if start.startswith(magic) and magic != b"PK")
    return next(known, f"a zip file cut short or damaged ({error})" if start.startswith(b"PK") else f"{start[:8]!r}")

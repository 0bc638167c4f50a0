"""Zip archives. Sizes and names that an archive declares are checked before a member is read."""

import io
import os
import stat
import struct
import threading
import zipfile
import zlib
from collections.abc import Iterator
from itertools import islice
from pathlib import Path

from pipeline.raw.format import MAX_BYTES, DataError, Issue
from pipeline.tools.importers.formats.archive_member import (
    LINK_HINT,
    MAX_ISSUES,
    MAX_MEMBERS,
    MAX_RATIO,
    REPACK_HINT,
    Member,
    check_name,
    member_issue,
    require_frame_size,
)

MAX_DIRECTORY_BYTES = 24 << 20  # size of the archive's list of members; that of a whole set has about 5 million bytes
MEMBER_MAGIC = b"PK\x01\x02"  # begins each entry of the list of members
METHODS = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)  # the others can unpack a few bytes to any amount at once


class ZipArchive:
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
            found, hint = f"a zip file cut short or damaged ({error})", "download or copy it again"
            raise DataError(Issue("not-a-zip", path, found, "a whole zip archive", hint)) from None

    def members(self) -> Iterator[Member]:
        """Yield the files of the archive. Raises DataError with all members that are not to be trusted."""
        infos = self.zip.infolist()
        issues = list(islice((issue for info in infos for issue in self._check(info)), MAX_ISSUES))
        unpacked, packed = sum(info.file_size for info in infos), self.path.stat().st_size
        if unpacked > MAX_RATIO * packed:
            found, hint = f"{unpacked:,} bytes packed in {packed:,}", "pack the set itself again"
            issues.append(member_issue(self.path, None, "bomb", found, f"at most {MAX_RATIO} to 1", hint))
        if issues:
            raise DataError(*issues)
        files = (info for info in infos if not info.filename.endswith(("/", "\\")))
        return (Member(info.filename, info.file_size, info.CRC, info) for info in files)

    def read(self, member: Member) -> bytes:
        """Return a member's bytes. Raises DataError for none, for too many, and for others than declared."""
        require_frame_size(self.path, member)
        hint = "download or pack it again"
        try:
            with self.lock, self.zip.open(member.location) as file:
                content = file.read(MAX_BYTES + 1)  # zipfile ends at the declared size, and checks the checksum
        except (zipfile.BadZipFile, zlib.error, EOFError, OSError, RuntimeError, ValueError) as error:
            reason = " ".join(f"{error or type(error).__name__}".split())[:200]
            raise DataError(
                member_issue(self.path, member.name, "damaged", reason, "a readable member", hint)
            ) from None
        if len(content) != member.size:
            found, expected = f"{len(content):,} bytes", f"{member.size:,}"
            raise DataError(member_issue(self.path, member.name, "truncated", found, expected, hint))
        return content

    def _check(self, info: zipfile.ZipInfo) -> Iterator[Issue]:
        """Yield an issue for all that a member declares and no set of frames needs."""
        name, file_type = info.filename, stat.S_IFMT(info.external_attr >> 16)
        yield from check_name(self.path, info.orig_filename)
        if file_type not in (0, stat.S_IFREG, stat.S_IFDIR):
            is_link = file_type == stat.S_IFLNK
            found, hint = ("a link", LINK_HINT) if is_link else ("a device or pipe", REPACK_HINT)
            yield member_issue(self.path, name, "not-a-file", found, "files and folders", hint)
        if info.flag_bits & 1:
            hint = "pack it without a password"
            yield member_issue(self.path, name, "encrypted", "an encrypted member", "readable ones", hint)
        elif info.compress_type not in METHODS:
            found = f"compression method {info.compress_type}"
            yield member_issue(self.path, name, "method", found, "stored or deflated members", REPACK_HINT)


class _LimitedFile(io.FileIO):
    """A file that refuses to give more at once than the list of members of an honest archive takes."""

    def read(self, size: int | None = -1) -> bytes:
        remaining = os.fstat(self.fileno()).st_size - self.tell()
        if (remaining if size is None or size < 0 else min(size, remaining)) > MAX_DIRECTORY_BYTES:
            raise self._refuse(f"a list of members of over {MAX_DIRECTORY_BYTES:,} bytes")
        content = super().read(size)
        if content.count(MEMBER_MAGIC) > MAX_MEMBERS:
            raise self._refuse(f"over {MAX_MEMBERS:,} members")
        return content

    def _refuse(self, found: str) -> DataError:
        return DataError(Issue("too-many", Path(str(self.name)), found, "one data set", "pack the set alone"))

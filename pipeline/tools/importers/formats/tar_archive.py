"""Tar archives, plain or packed by gzip or bzip2: read once, from front to back; frames go to a temporary file.

A packed archive has no list of members and no way back, so that frames could not be read in another order.
"""

import bz2
import gzip
import io
import os
import tarfile
import tempfile
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

from pipeline.core.errors import PipelineError
from pipeline.core.sensors import SENSORS
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

GZIP, BZIP2 = b"\x1f\x8b", b"BZh"
USTAR = slice(257, 262)  # where a tar's first header has `ustar`
MAX_FRAMES_BYTES = 4 << 30  # bytes of all frames, in the temporary file; a whole set has 0.7 GB
MAX_HEADER_BYTES = 1 << 16  # headers of one member, with long names and other attributes
SUFFIXES = tuple(SENSORS.values())  # suffixes of the members that are copied to the temporary file


def is_tar(start: bytes) -> bool:
    """Return whether a file with these first 512 bytes is a tar, or packed by gzip or bzip2 as a tar can be."""
    return start.startswith((GZIP, BZIP2)) or start[USTAR] == b"ustar"


class TarArchive:
    """One tar file, plain or packed. Its members are checked while they are listed. Threads may share it."""

    def __init__(self, path: Path) -> None:
        """Prepare to read a tar file; nothing is read before the members are."""
        self.path = path
        self.frames = tempfile.TemporaryFile()

    def members(self) -> list[Member]:
        """Return the files of the archive. Raises DataError if it is damaged, and for all members not to be trusted."""
        try:
            with self.path.open("rb") as file, _unpack(file) as unpacked:
                stream = _Stream(self.path, unpacked)
                members = self._list_members(stream)
                stream.read_to_end()  # where gzip has its checksum
        except DataError:  # a ValueError too
            raise
        except (tarfile.TarError, zlib.error, EOFError, OSError, ValueError, RecursionError) as error:
            found = f"a tar file cut short or damaged ({' '.join(str(error).split())[:200]})"
            hint = "download or copy it again"
            raise DataError(Issue("not-a-tar", self.path, found, "a whole tar archive", hint)) from None
        return members

    def read(self, member: Member) -> bytes:
        """Return a member's bytes. Raises DataError for an empty one and for more bytes than a frame can have."""
        require_frame_size(self.path, member)
        return os.pread(self.frames.fileno(), member.size, member.location)

    def _list_members(self, stream: "_Stream") -> list[Member]:
        members: list[Member] = []
        by_path: dict[str, Member] = {}  # targets of hard links
        issues: list[Issue] = []
        with tarfile.TarFile(fileobj=stream, mode="r") as archive:
            info, count = archive.next(), 1
            while info is not None and len(issues) < MAX_ISSUES:
                target = by_path.get(_path(info.linkname)) if info.islnk() else None
                issues += self._check(info, target)
                end = stream.tell() + (-(-info.size // tarfile.BLOCKSIZE) * tarfile.BLOCKSIZE if info.isreg() else 0)
                if info.type not in tarfile.SUPPORTED_TYPES or info.issparse():
                    break  # where the next header begins is not certain; there is an issue already
                if target or info.isreg():
                    member = target._replace(name=info.name) if target else self._set_aside(info, stream)
                    members.append(member)
                    by_path[member.path] = member
                stream.skip_to(end)
                info, count = _next_member(archive, stream), count + 1
                if count > MAX_MEMBERS:
                    raise DataError(_too_much(self.path, f"over {MAX_MEMBERS:,} members"))
        if issues:
            raise DataError(*issues)
        return members

    def _set_aside(self, info: tarfile.TarInfo, stream: "_Stream") -> Member:
        """Copy a frame to the temporary file. Other members and oversized ones are listed only."""
        if not info.name.lower().endswith(SUFFIXES) or info.size > MAX_BYTES:
            return Member(info.name, info.size, 0, None)
        content = stream.read_frame(info.size)
        start = self.frames.seek(0, os.SEEK_END)
        if start + info.size > MAX_FRAMES_BYTES:
            raise DataError(_too_much(self.path, f"frames of over {MAX_FRAMES_BYTES:,} bytes"))
        try:
            self.frames.write(content)
            self.frames.flush()
        except OSError as error:
            found = f"{tempfile.gettempdir()}: no room to unpack {self.path} ({error.strerror})"
            raise PipelineError(f"{found}; free space there, or name another folder in TMPDIR") from None
        return Member(info.name, info.size, zlib.crc32(content), start)

    def _check(self, info: tarfile.TarInfo, target: Member | None) -> Iterator[Issue]:
        """Yield an issue for all that a member declares and no set of frames needs."""
        yield from check_name(self.path, info.name)
        if info.issym() or (info.islnk() and not target):
            yield member_issue(self.path, info.name, "not-a-file", "a link", "files and folders", LINK_HINT)
        elif info.issparse():
            yield member_issue(self.path, info.name, "not-a-file", "a sparse file", "files and folders", REPACK_HINT)
        elif not (info.isreg() or info.isdir() or info.islnk()):
            yield member_issue(self.path, info.name, "not-a-file", "a device or pipe", "files and folders", REPACK_HINT)


def _next_member(archive: tarfile.TarFile, stream: "_Stream") -> tarfile.TarInfo | None:
    """Return the next header; None at the end. `TarFile.next` keeps all headers, and ends at a damaged one too."""
    try:
        return tarfile.TarInfo.fromtarfile(archive)
    except tarfile.HeaderError:
        if stream.header == bytes(tarfile.BLOCKSIZE):
            return None
        raise


class _Stream(io.RawIOBase):
    """The unpacked bytes of a tar file, read forwards only."""

    def __init__(self, path: Path, file: BinaryIO) -> None:
        self.path, self.file = path, file
        self.limit = MAX_RATIO * path.stat().st_size
        self.position = 0
        self.header = b""  # what tarfile read last

    def tell(self) -> int:
        return self.position

    def read(self, size: int = -1) -> bytes:
        """Return a header, or a part of one."""
        if not 0 <= size <= MAX_HEADER_BYTES:
            raise DataError(_too_much(self.path, f"a header of {size:,} bytes"))
        self.header = self._read(size)
        return self.header

    def skip_to(self, position: int) -> None:
        """Read up to a position; raises EOFError for the end before it."""
        while self.position < position:
            if not self._read(min(position - self.position, MAX_BYTES)):
                raise EOFError("the last member is not whole")

    def read_frame(self, size: int) -> bytes:
        """Return the content of a member, which must be whole."""
        content = self._read(size)
        if len(content) != size:
            raise EOFError(f"{len(content):,} of {size:,} bytes of a member")
        return content

    def read_to_end(self) -> None:
        """Read what follows the last member."""
        while self._read(MAX_BYTES):
            pass

    def _read(self, size: int) -> bytes:
        if size < 0:
            raise tarfile.ReadError("a negative size")
        content = self.file.read(size)
        self.position += len(content)
        if self.position > self.limit:
            found = f"over {self.limit:,} bytes packed in {self.path.stat().st_size:,}"
            hint = "pack the set itself again"
            raise DataError(Issue("bomb", self.path, found, f"at most {MAX_RATIO} to 1", hint))
        return content


def _unpack(file: BinaryIO) -> BinaryIO:
    start = file.read(len(BZIP2))
    file.seek(0)
    if start.startswith(GZIP):
        return gzip.GzipFile(fileobj=file)  # type: ignore[return-value]
    return bz2.BZ2File(file) if start == BZIP2 else file  # type: ignore[return-value]


def _path(name: str) -> str:
    return Member(name, 0, 0, None).path


def _too_much(path: Path, found: str) -> Issue:
    return Issue("too-many", path, found, "one data set", "pack the set alone")

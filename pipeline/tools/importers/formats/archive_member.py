"""What zip and tar archives have in common: members, the limits of an honest archive, and names that stay inside it."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

from pipeline.raw.format import MAX_BYTES, DataError, Issue
from pipeline.tools.importers.formats.locate import with_slashes

MAX_MEMBERS = 100_000  # a whole set has 40,004, and as many again in __MACOSX
MAX_RATIO = 200  # unpacked to packed bytes; a simulated set packs 28 to 1 as zip and 42 to 1 as tar.bz2
MAX_ISSUES = 1000  # collected from one archive
MAX_NAME_LENGTH = 300  # characters of a member's name in a message
REPACK_HINT = "pack the set again, from its own folder"
LINK_HINT = "pack what the links lead to: `tar -h`, or `zip` without `-y`"


class Member(NamedTuple):
    """One file of an archive."""

    name: str  # as the archive spells it
    size: int  # bytes
    checksum: int  # CRC-32
    location: Any  # where its archive finds the bytes

    @property
    def path(self) -> str:
        """Return the name with `/` between folders and without the `./` that bsdtar writes."""
        return "/".join(part for part in with_slashes(self.name).split("/") if part not in ("", "."))


def member_issue(path: Path, name: str | None, code: str, found: str, expected: str, hint: str) -> Issue:
    """Return an issue of one member, or of the archive at `path` as a whole where the name is None."""
    return Issue(code, Path(f"{path}:{name[:MAX_NAME_LENGTH]}" if name is not None else path), found, expected, hint)


def check_name(path: Path, name: str) -> Iterator[Issue]:
    """Yield an issue for a member's name that an honest archive does not hold."""
    if not name:
        yield member_issue(path, name, "path", "a member without a name", "names", REPACK_HINT)
    elif name.startswith(("/", "\\")) or re.match("[A-Za-z]:", name) or ".." in with_slashes(name).split("/"):
        yield member_issue(path, name, "path", "a name that leads out of the archive", "names inside", REPACK_HINT)
    elif "\0" in name:
        found = f"the name {name[:MAX_NAME_LENGTH]!r}"
        yield member_issue(path, name.partition("\0")[0], "path", found, "names without a zero byte", REPACK_HINT)


def require_frame_size(path: Path, member: Member) -> None:
    """Raise DataError for a member of more bytes than a frame can have, and for an empty one."""
    if member.size > MAX_BYTES:
        found, hint = f"{member.size:,} bytes", "put one frame of 64x64 there"
        raise DataError(member_issue(path, member.name, "too-large", found, f"at most {MAX_BYTES:,}", hint))
    if not member.size:
        raise DataError(member_issue(path, member.name, "empty", "0 bytes", "a readable file", "restore it"))

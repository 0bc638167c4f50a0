"""What a check found, and the words for it."""

from typing import Literal, NamedTuple

Status = Literal["ok", "note", "problem"]
GIB = 2**30


class Finding(NamedTuple):
    """The outcome of one check.

    A note is what a user may want to know or change, and a problem stops a run or hides hardware from it.
    """

    status: Status
    found: str
    fix: str = ""


def ok(found: str) -> Finding:
    """Return a finding that asks for nothing."""
    return Finding("ok", found)


def note(found: str, fix: str) -> Finding:
    """Return a finding that stops no run."""
    return Finding("note", found, fix)


def problem(found: str, fix: str) -> Finding:
    """Return a finding that stops a run or hides hardware from it."""
    return Finding("problem", found, fix)


def gib(size: float) -> str:
    """Return a number of bytes in GiB, with one digit after the point."""
    return f"{size / GIB:.1f} GiB"

"""The one way in which this project refuses: a PipelineError, printed without a traceback, exit code 1."""

import ctypes
import errno
import gc
import os
import signal
import sys
from collections.abc import Callable
from io import TextIOWrapper
from typing import Any

import typer

ENDINGS = {130: "interrupted", 143: "ended by SIGTERM"}  # exit codes as a shell gives them
# words of RuntimeErrors: torch, C++ and oneDNN have no error of their own for memory, Python has none for threads
NO_MEMORY = ("memory", "bad_alloc", "could not create a primitive")
NO_THREAD = "can't start new thread"
PR_SET_PDEATHSIG = 1  # of Linux's prctl.h


class PipelineError(Exception):
    """An error that a user can fix. The message names the file, what was found, what was expected and the fix."""


def printable(text: str, max_length: int = 1000) -> str:
    """Return foreign text as a terminal may show it: on one line, no control characters, at most `max_length` long."""
    line = text if text.isprintable() else repr(text)[1:-1]  # file names that are no UTF-8 come out escaped too
    return line if len(line) <= max_length else f"{line[:max_length]}..."


def lacks_memory(error: BaseException) -> bool:
    """Return whether an error means that this process has no memory left; it says nothing about any file then."""
    return isinstance(error, MemoryError) or (
        isinstance(error, RuntimeError) and any(words in str(error) for words in NO_MEMORY)
    )


def run_command(command: Callable[..., None]) -> None:
    """Run `command` or a typer app with the arguments of the process; a PipelineError ends without a traceback.

    A sign that the console lacks is printed as its code. SIGTERM ends the command as Ctrl-C does. A stage gets it when
    its DVC is killed: the next DVC runs the stage anew.
    """
    signal.signal(signal.SIGTERM, _end)
    if isinstance(sys.stdout, TextIOWrapper):  # a console may lack a sign, such as plus-minus in ASCII
        sys.stdout.reconfigure(errors="backslashreplace")
    if "DVC_STAGE" in os.environ and (prctl := getattr(ctypes.CDLL(None), "prctl", None)):
        prctl(PR_SET_PDEATHSIG, signal.SIGTERM)
    try:
        command() if isinstance(command, typer.Typer) else typer.run(command)
    except (PipelineError, OSError) as error:  # OSError names the file of a folder that bars writing
        where = f"; free space on the disk of {os.getcwd()}" if _is_of_a_nameless_disk(error) else ""
        print(f"error: {error}{where}", file=sys.stderr)
        raise SystemExit(1) from None
    except (MemoryError, RuntimeError) as error:
        if not (line := _name_want(error)):
            raise
        print(f"error: {line}", file=sys.stderr)
        raise SystemExit(1) from None
    except SystemExit as exit_:
        if exit_.code in ENDINGS:
            print(f"error: {ENDINGS[exit_.code]}; nothing half-done looks whole, run it again", file=sys.stderr)
        raise
    finally:
        gc.freeze()  # at its end Python would look for garbage in all that torch holds: half a second


def _is_of_a_nameless_disk(error: Exception) -> bool:
    """Return whether an error means that a disk is full and names no file, as a write does."""
    return isinstance(error, OSError) and error.errno == errno.ENOSPC and error.filename is None


def _name_want(error: MemoryError | RuntimeError) -> str | None:
    """Return a line for an error that means want of memory or of threads; None for any other."""
    reason = str(error).strip().split("\n")[0]
    if lacks_memory(error):
        reason = reason or "not even for an error message"
        return f"out of memory ({reason}); lower batch_size, the widths or the number of seeds"
    if NO_THREAD in reason:
        return f"{reason}: raise the limit, which is that of `ulimit -u` or the container's pids.max"
    return None


def _end(*_: Any) -> None:
    raise SystemExit(128 + signal.SIGTERM)

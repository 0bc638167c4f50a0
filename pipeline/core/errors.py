"""The one way in which this project says no: a PipelineError, printed without a traceback, exit code 1."""

import sys
from collections.abc import Callable

import typer

INTERRUPTED = 130  # what a shell gives for Ctrl-C


class PipelineError(Exception):
    """Something a user can mend. The message names the file, what was found, what was expected and the fix."""


def printable(text: str, most: int = 1000) -> str:
    """Somebody else's text as a terminal may show it: on one line, no control characters, not without end."""
    shown = text if text.isprintable() else repr(text)[1:-1]  # file names that are no UTF-8 come out escaped too
    return shown if len(shown) <= most else f"{shown[:most]}..."


def run_command(command: Callable[..., None]) -> None:
    """Run `command` or a typer app with the arguments of the process; what a user can mend ends without a traceback."""
    try:
        command() if isinstance(command, typer.Typer) else typer.run(command)
    except (PipelineError, OSError) as error:  # OSError names the file of a full disk or a folder that bars writing
        print(f"error: {error}", file=sys.stderr)
        raise SystemExit(1) from None
    except SystemExit as ended:
        if ended.code == INTERRUPTED:
            print("error: interrupted; nothing half-done looks whole, run it again", file=sys.stderr)
        raise

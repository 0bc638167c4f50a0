"""The one way in which this project says no: a PipelineError, printed without a traceback, exit code 1."""

import sys
from collections.abc import Callable

import typer


class PipelineError(Exception):
    """Something a user can mend. The message names the file, what was found, what was expected and the fix."""


def run(command: Callable[..., None]) -> None:
    """Run `command` or a typer app with the arguments of the process; a PipelineError ends it without a traceback."""
    try:
        command() if isinstance(command, typer.Typer) else typer.run(command)
    except PipelineError as error:
        print(f"error: {error}", file=sys.stderr)
        raise SystemExit(1) from None

"""Commands of stages as processes of this machine, all of which end with the driver, however it ends."""

import os
import resource
import signal
import subprocess
import sys
from contextlib import suppress
from pathlib import Path
from time import monotonic, sleep
from types import TracebackType
from typing import NamedTuple

from pipeline.jobs.plan import Command

SECONDS_TO_END = 3  # after an interruption, to delete what is half-written
# a process that reads what the driver never writes: the read ends with the driver, and the group with the read
GUARD = """
import os, signal, sys
signal.signal(signal.SIGINT, signal.SIG_IGN)
print("ready", flush=True)
sys.stdin.read()
os.killpg(0, signal.SIGKILL)
"""


class Ended(NamedTuple):
    """How a command ended: its exit code and the processor seconds of its process and of that process's children."""

    code: int
    seconds: float


class LocalLauncher:
    """Run commands on this machine, in one process group, as a context that leaves no process behind."""

    def __init__(self) -> None:
        self._running: dict[str, subprocess.Popen] = {}

    def __enter__(self) -> "LocalLauncher":
        command = [sys.executable, "-I", "-S", "-c", GUARD]
        self._guard = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, process_group=0)
        assert self._guard.stdout is not None
        self._guard.stdout.readline()  # from now on Ctrl-C leaves the guard alone
        return self

    def start(self, name: str, command: Command, log: Path) -> None:
        """Start a command; its output goes to the file `log`."""
        with log.open("wb") as output:
            self._running[name] = subprocess.Popen(
                ["/bin/sh", "-ec", command.lines],
                cwd=command.folder,
                env=command.environment,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                process_group=self._guard.pid,
            )

    def ended(self) -> dict[str, Ended]:
        """Return the commands that have ended since the last call."""
        ended = {}
        for name, process in list(self._running.items()):
            before = _seconds_of_children()
            if (code := process.poll()) is not None:
                ended[name] = Ended(code, _seconds_of_children() - before)
                del self._running[name]
        return ended

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """End all that runs: ask first, as Ctrl-C does, then kill the group."""
        with suppress(ProcessLookupError):
            if self._running:
                os.killpg(self._guard.pid, signal.SIGINT)
            deadline = monotonic() + SECONDS_TO_END
            while self._running and monotonic() < deadline:
                sleep(0.05)
                self.ended()
            os.killpg(self._guard.pid, signal.SIGKILL)
        for process in (*self._running.values(), self._guard):
            process.communicate()


def _seconds_of_children() -> float:
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime

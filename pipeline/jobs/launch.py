"""Commands of stages as processes of this machine, all of which end with the driver, however it ends."""

import json
import os
import signal
import subprocess
import sys
from contextlib import suppress
from pathlib import Path
from time import monotonic, sleep
from types import TracebackType
from typing import NamedTuple

from pipeline.core.cores import ONE_THREAD
from pipeline.core.errors import PipelineError
from pipeline.jobs import forkserver
from pipeline.jobs.plan import Command

# threads do not survive a fork, nor does CUDA: with this variable torch asks for a GPU without starting CUDA
FORKABLE = ONE_THREAD | {"PYTORCH_NVML_BASED_CUDA_CHECK": "1"}
SECONDS_TO_END = 3  # after an interruption, to delete what is half-written
SERVER_KILLED = "the process that starts stages was killed, perhaps for want of memory; run it again"


class Ended(NamedTuple):
    """How a command ended: its exit code and the processor seconds of its process and of that process's children.

    On a node of a cluster also the name of its host, and a problem that is the host's and not the command's.
    """

    code: int
    seconds: float
    host: str = ""
    problem: str = ""


class LocalLauncher:
    """Run commands on this machine, in one process group, as a context that leaves no process behind."""

    def __init__(self) -> None:
        self._running: set[str] = set()
        self._received = b""

    def __enter__(self) -> "LocalLauncher":
        self._server = subprocess.Popen(
            [sys.executable, forkserver.__file__],
            env=os.environ | FORKABLE,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            process_group=0,
        )
        assert self._server.stdin is not None and self._server.stdout is not None
        self._requests, self._results = self._server.stdin, self._server.stdout
        self._results.readline()  # from now on Ctrl-C leaves the server alone
        os.set_blocking(self._results.fileno(), False)
        return self

    @property
    def group(self) -> int:
        """The process group of all that runs."""
        return self._server.pid

    def start(self, name: str, command: Command, log: Path) -> None:
        """Start a command; its output goes to the file `log`."""
        request = {
            "name": name,
            "lines": command.lines,
            "folder": str(command.folder),
            "environment": dict(command.environment),
            "log": str(log),
        }
        try:
            self._requests.write(json.dumps(request).encode() + b"\n")
            self._requests.flush()
        except BrokenPipeError:
            raise PipelineError(SERVER_KILLED) from None
        self._running.add(name)

    def ended(self) -> dict[str, Ended]:
        """Return the commands that have ended since the last call."""
        with suppress(BlockingIOError):
            if not (part := os.read(self._results.fileno(), 2**16)):
                raise PipelineError(SERVER_KILLED)
            self._received += part
        *lines, self._received = self._received.split(b"\n")
        results = [json.loads(line) for line in lines]
        ended = {result["name"]: Ended(result["code"], result["seconds"]) for result in results}
        self._running -= set(ended)
        return ended

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """End all that runs: ask first, as Ctrl-C does, then kill the group."""
        with suppress(ProcessLookupError):
            if self._running:
                os.killpg(self._server.pid, signal.SIGINT)
            deadline = monotonic() + SECONDS_TO_END
            while self._running and monotonic() < deadline:
                sleep(0.05)
                with suppress(PipelineError):
                    self.ended()
            os.killpg(self._server.pid, signal.SIGKILL)
        self._server.communicate()

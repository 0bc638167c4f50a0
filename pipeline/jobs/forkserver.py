"""Start stages as forks of this process, which has imported their libraries: a stage saves 2 to 3 seconds of processor.

The driver runs this file with the interpreter that it has itself. Requests come to standard input, one JSON object a
line, and results go to standard output likewise. When standard input ends, so do this process and all it started:
that is how no stage outlives a driver, even one that was killed.
"""

import gc
import importlib
import json
import os
import re
import runpy
import select
import shlex
import signal
import sys
import warnings
from contextlib import suppress
from pathlib import Path
from typing import Any

Request = dict[str, Any]  # name, lines, folder, environment, log: see launch.LocalLauncher.start
READY = b"ready\n"
# what a fork runs itself; every other command goes to a shell
STAGE = re.compile(r"""python -m (stages\.\w+)((?: [\w@.+-]+| "\$DVC_STAGE")*)""")


def preload() -> None:
    """Import what the stages of the working directory import; an error is left to the stage that has it.

    The garbage collector of no fork looks at what is imported here: each fork would copy its pages to end, which takes
    a second.
    """
    gc.disable()
    sys.path[0] = os.getcwd()
    for path in sorted(Path("stages").glob("[!_]*.py")):
        with suppress(Exception):
            importlib.import_module(f"stages.{path.stem}")
        sys.modules.pop(f"stages.{path.stem}", None)  # the stage runs as __main__
    if "torch" in sys.modules:
        from torch import optim, zeros

        optim.Adam([zeros(1)])  # the first optimizer imports torch's compiler
    gc.freeze()


def serve() -> Request:
    """Fork for every request and report how each fork ended. Returns in a fork, with its request."""
    running: dict[int, str] = {}
    child_ended, wakeup = os.pipe2(os.O_NONBLOCK)
    signal.set_wakeup_fd(wakeup)
    signal.signal(signal.SIGCHLD, lambda *_: None)
    received = b""
    while True:
        ready, _, _ = select.select([sys.stdin, child_ended], [], [])
        if child_ended in ready:
            os.read(child_ended, 512)
            _report_ended(running)
        if sys.stdin in ready:
            if not (part := os.read(0, 2**16)):
                os.killpg(0, signal.SIGKILL)
            *lines, received = (received + part).split(b"\n")
            for line in lines:
                request = json.loads(line)
                if not (pid := os.fork()):
                    os.close(child_ended)
                    return request
                running[pid] = request["name"]


def run(request: Request) -> None:
    """Become the process of a request."""
    gc.enable()
    signal.set_wakeup_fd(-1)
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    signal.signal(signal.SIGINT, signal.default_int_handler)
    log = os.open(request["log"], os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o666)
    for source, target in ((os.open(os.devnull, os.O_RDONLY), 0), (log, 1), (log, 2)):
        os.dup2(source, target)
    os.chdir(request["folder"])
    os.environ.clear()
    os.environ.update(request["environment"])
    if not (stage := STAGE.fullmatch(request["lines"])):
        os.execv("/bin/sh", ["/bin/sh", "-ec", request["lines"]])
    sys.path[0] = request["folder"]
    sys.argv = [stage[1], *map(os.path.expandvars, shlex.split(stage[2]))]
    runpy.run_module(stage[1], run_name="__main__", alter_sys=True)


def _report_ended(running: dict[int, str]) -> None:
    """Write name, exit code and processor seconds of each child that has ended; those of its own children count."""
    while running:
        pid, status, usage = os.wait4(-1, os.WNOHANG)
        if not pid:
            return
        seconds = usage.ru_utime + usage.ru_stime
        result = {"name": running.pop(pid), "code": os.waitstatus_to_exitcode(status), "seconds": seconds}
        os.write(1, json.dumps(result).encode() + b"\n")


if __name__ == "__main__":
    # the thread of a memory allocator, which forks by rules of its own; Python 3.12 and later warn of every thread
    warnings.filterwarnings("ignore", "This process .* is multi-threaded", DeprecationWarning)
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the driver passes Ctrl-C on to the stages
    os.write(1, READY)
    preload()
    run(serve())

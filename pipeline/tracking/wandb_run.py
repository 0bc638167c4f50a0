"""One Weights & Biases run in a process of its own: whatever wandb does, the training neither waits nor fails.

WANDB_MODE is offline (the default: no account, no prompt, no network; `wandb sync` later), online or disabled.

A thread writes one line of JSON a message to the process, which answers in at most two lines: one once the run is
open, one if wandb is given up. A process that does not end in time is killed, with all that it started.
"""

import base64
import io
import json
import os
import subprocess
import sys
import tempfile
import threading
from contextlib import suppress
from pathlib import Path
from queue import SimpleQueue
from typing import Any

import numpy as np

TIMEOUT_S = 15  # seconds that the server has to answer before the run goes offline, and that wandb has to end
UPLOAD_TIMEOUT_S = 120  # seconds for the rest of an upload; what is missing then is in the folder, for `wandb sync`
MIN_FREE_BYTES = 2**20  # free space that the folder must have
MODES = ("offline", "online", "disabled")
SYNONYMS = {"dryrun": "offline", "run": "online"}  # wandb's older names of modes
# of one run of another program: trainings would all be that run on the server, or look for its process and files
OF_ANOTHER_RUN = ("RUN_ID", "RESUME", "SERVICE", "SWEEP_ID", "SWEEP_PARAM_PATH", "CONFIG_PATHS")
ROOT = Path(__file__).resolve().parents[2]  # where the process finds this package
_stuck = threading.Event()  # wandb had to be killed: later runs of this process do without


class NullRun:
    """Accept the calls of a run and do nothing."""

    def send(self, method: str, **arguments: Any) -> None:
        pass

    def finish(self, exit_code: int) -> None:
        pass


class Run(NullRun):
    """Pass messages on to the process of wandb; print one warning at most."""

    def __init__(self, name: str, config: dict[str, Any], mode: str) -> None:
        self.name, self.mode = name, mode
        self.warned = False
        self.process: subprocess.Popen[bytes] | None = None
        self.messages: SimpleQueue[dict[str, Any] | None] = SimpleQueue()
        times = {"timeout_s": TIMEOUT_S, "grace_s": self._end_timeout_s() + 5}  # this process kills it earlier
        self.send("open", name=name, config=config, mode=mode, **times)
        self.thread = threading.Thread(target=self._work, name=f"wandb {name}", daemon=True)
        self.thread.start()

    def send(self, method: str, **arguments: Any) -> None:
        """Queue a call of one of `wandb_process.METHODS`, and return at once."""
        self.messages.put({"method": method, **arguments})

    def finish(self, exit_code: int) -> None:
        """End the run, with 0 for a training that ended well, and wait for wandb, for a limited time."""
        self.send("finish", exit_code=exit_code)
        self.messages.put(None)
        timeout_s = self._end_timeout_s()
        self.thread.join(timeout_s)
        if self.thread.is_alive():
            self._warn(f"is off for {self.name}: no answer for {timeout_s} seconds; what it has is in {wandb_folder()}")
            _stuck.set()
            if self.process and self.process.poll() is None:
                kill_tree(self.process.pid)
            self.thread.join(TIMEOUT_S)

    def _end_timeout_s(self) -> float:
        return UPLOAD_TIMEOUT_S if self.mode == "online" else TIMEOUT_S

    def _work(self) -> None:
        try:
            _require_space(wandb_folder())
            self.process = _start_process()
            with suppress(BrokenPipeError), self.process:
                self._pass_on(self.process)
            if self.process.returncode:
                self._warn(f"is off for {self.name}: its process ended with {self.process.returncode}")
            _require_space(wandb_folder())  # wandb itself does not report a full disk
        except Exception as error:
            self._warn(f"is off for {self.name}: {in_short(error)}")

    def _pass_on(self, process: subprocess.Popen[bytes]) -> None:
        """Write every message, and print what the process answers."""
        assert process.stdin and process.stdout
        with suppress(BrokenPipeError):  # the process has ended: its last line has the reason
            for message in iter(self.messages.get, None):
                process.stdin.write(json.dumps(message, default=encode).encode() + b"\n")
                process.stdin.flush()
                if message["method"] == "open" and (answer := _read_line(process.stdout)):
                    self.mode = "offline"
                    self._warn(answer)
            process.stdin.close()
        self._warn(_read_line(process.stdout))

    def _warn(self, reason: str) -> None:
        if reason and not self.warned:
            print(f"warning: wandb {reason}", file=sys.stderr)
            self.warned = True


def start_run(name: str, config: dict[str, Any]) -> NullRun:
    """Start a run called `name`, stage first, and return at once."""
    wanted = os.environ.get("WANDB_MODE") or "offline"
    mode = SYNONYMS.get(wanted.lower(), wanted.lower())
    if mode not in MODES:
        expected = ", ".join(MODES)
        print(f"warning: wandb is off for {name}: WANDB_MODE is {wanted}; expected {expected}", file=sys.stderr)
    return Run(name, config, mode) if mode in MODES[:2] and not _stuck.is_set() else NullRun()


def _start_process() -> "subprocess.Popen[bytes]":
    """Start wandb's process, apart from the terminal: Ctrl-C is the training's."""
    return subprocess.Popen(
        [sys.executable, "-P", "-m", "pipeline.tracking.wandb_process"],
        env=_environment(wandb_folder()),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )


def _environment(folder: Path) -> dict[str, str]:
    """Return the environment of wandb's process: defaults, and this one's variables but the mode and OF_ANOTHER_RUN.

    Copies of artifacts, and logs, lie with the runs: a home may be full or read-only. Nothing goes to wandb's own error
    reports: offline means no network.
    """
    defaults = {
        "WANDB_DATA_DIR": str(folder / "data"),
        "WANDB_CACHE_DIR": str(folder / "cache"),
        "WANDB_ERROR_REPORTING": "false",
        "OPENBLAS_NUM_THREADS": "1",  # this and the next save a seventh of the processor time of a short run
        "PYDANTIC_DISABLE_PLUGINS": "__all__",
    }
    path = os.pathsep.join(filter(None, (str(ROOT), os.environ.get("PYTHONPATH"))))
    foreign = {f"WANDB_{name}" for name in ("MODE", *OF_ANOTHER_RUN)}
    inherited = {name: value for name, value in os.environ.items() if name not in foreign}
    return defaults | inherited | {"PYTHONPATH": path}


def wandb_folder() -> Path:
    """Return `wandb/` of WANDB_DIR, else of the project, which DVC names: its queue works in copies it throws away."""
    return Path(os.environ.get("WANDB_DIR") or os.environ.get("DVC_ROOT") or ".").resolve() / "wandb"


def _require_space(folder: Path) -> None:
    """Raise OSError unless `folder` takes MIN_FREE_BYTES; wandb itself would go to another folder, or lose data."""
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryFile(dir=folder) as file:
        file.write(bytes(MIN_FREE_BYTES))


def _read_line(stream: Any) -> str:
    return stream.readline().decode(errors="replace").strip()


def kill_tree(pid: int) -> None:
    """Kill a process and all that it started; wandb's own process has a session of its own, so no group holds both."""
    import psutil  # only where wandb has failed

    with suppress(psutil.Error):
        process = psutil.Process(pid)
        for each in (*process.children(recursive=True), process):
            with suppress(psutil.Error):
                each.kill()


def encode(value: Any) -> Any:
    """Return an array as the base64 text of a .npy file, a path as text, for json.dumps."""
    if isinstance(value, np.ndarray):
        file = io.BytesIO()
        np.save(file, value, allow_pickle=False)
        return {"npy": base64.b64encode(file.getvalue()).decode()}
    return value.item() if isinstance(value, np.generic) else str(value)


def decode(fields: dict[str, Any]) -> Any:
    """Return the value that `encode` took, for json.loads; a path stays text."""
    if fields.keys() == {"npy"}:
        return np.load(io.BytesIO(base64.b64decode(fields["npy"])), allow_pickle=False)
    return fields


def in_short(error: Exception) -> str:
    """Return an error in one line."""
    return " ".join(f"{type(error).__name__} {error}".split())[:200]

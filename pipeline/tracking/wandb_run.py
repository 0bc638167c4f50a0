"""One Weights & Biases run in a thread of its own: whatever wandb does, the training neither waits nor fails.

WANDB_MODE says how: offline (the default: no account, no prompt, no network; `wandb sync` later), online or disabled.
"""

import os
import sys
import tempfile
import threading
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from queue import SimpleQueue
from typing import Any

from pipeline.tracking.provenance import read_provenance

TIMEOUT_S = 15  # seconds to wait for the server before going offline, and for wandb to end
UPLOAD_TIMEOUT_S = (
    120  # seconds to wait for the rest of an upload; what is missing then is in the folder, for `wandb sync`
)
MIN_FREE_BYTES = 2**20  # bytes that must fit into the folder
MODES = ("offline", "online", "disabled")
Call = Callable[[Any], None]  # what to do with the run
_stuck = threading.Event()  # wandb did not come back: later runs of this process do without


class NullRun:
    """Stands where a run would: takes everything, does nothing."""

    def put(self, call: Call) -> None:
        pass

    def finish(self, code: int) -> None:
        pass


class Run:
    """Calls are queued and made in order; the first that fails is told, and it is the last."""

    def __init__(self, name: str, config: dict, mode: str) -> None:
        self.name, self.config, self.mode = name, config, mode
        self.calls: SimpleQueue[Call | None] = SimpleQueue()
        self.told = False
        self.thread = threading.Thread(target=self._work, name=f"wandb {name}", daemon=True)
        self.thread.start()

    def put(self, call: Call) -> None:
        """Have `call(run)` made, some time soon."""
        self.calls.put(call)

    def finish(self, code: int) -> None:
        """End the run, 0 for a good end, and wait for it, but not for ever."""
        self.calls.put(lambda run: run.finish(exit_code=code))
        self.calls.put(None)
        patience = UPLOAD_TIMEOUT_S if self.mode == "online" else TIMEOUT_S
        self.thread.join(patience)
        if self.thread.is_alive():
            self._tell(f"no answer for {patience} seconds; what it has is in {_folder()}")
            _stuck.set()
            _kill()
            self.thread.join(TIMEOUT_S)  # nobody is left to wait for: it ends, before wandb can be started anew

    def _work(self) -> None:
        run = None
        try:
            _try_room(_folder())
            with _environment(_folder()):
                run = self._open()
                while (call := self.calls.get()) is not None:
                    call(run)
            _try_room(_folder())  # its own process says nothing of a full disk
        except Exception as error:
            self._tell(in_short(error))
            with suppress(Exception):
                run.finish(exit_code=1)
            _leave()

    def _open(self) -> Any:
        """The run in the mode asked for; one that cannot go online goes offline instead."""
        if self.mode == "online":
            try:
                _reach()
                return _init("online", self.name, self.config)
            except Exception as error:
                self.mode = "offline"
                self._tell(in_short(error), "stays offline")
        return _init("offline", self.name, self.config)

    def _tell(self, reason: str, what: str = "is off") -> None:
        if not self.told:
            print(f"warning: wandb {what} for {self.name}: {reason}", file=sys.stderr)
        self.told = True


def start_run(name: str, config: dict) -> Run | NullRun:
    """A run called `name`, stage first; returns at once."""
    mode = os.environ.get("WANDB_MODE") or "offline"
    if mode not in MODES:
        print(f"warning: wandb is off for {name}: WANDB_MODE is {mode}; expected {', '.join(MODES)}", file=sys.stderr)
    return NullRun() if mode not in MODES[:2] or _stuck.is_set() else Run(name, config, mode)


def _init(mode: str, name: str, config: dict) -> Any:
    import wandb  # a fifth of a second, and only trainings need it

    known = read_provenance()
    settings = wandb.Settings(
        silent=True,
        console="off",
        init_timeout=TIMEOUT_S,
        disable_git=True,  # `origin` tells the commit; wandb would copy remote and differences too
        x_disable_stats=True,
        x_save_requirements=False,
    )
    with _no_launch():
        run = wandb.init(
            mode=mode,
            dir=_folder().parent,
            project=os.environ.get("WANDB_PROJECT", "rgb-lidar-cilp"),
            name=name,
            job_type=name.split("/")[0],
            group=known.get("experiment") or known.get("commit", "")[:7] or None,
            config=config | known,
            settings=settings,
        )
    run.define_metric("*", step_metric="epoch", summary="none")  # the summary is what the stage says it is
    return run


@contextmanager
def _no_launch() -> Iterator[None]:
    """Keep wandb from looking for inputs of its job queue: it notes the absence, and saves half of the time of init."""
    name = "wandb.sdk.launch"
    if name in sys.modules:
        yield
        return
    sys.modules[name] = None  # an import of it fails
    try:
        yield
    finally:
        del sys.modules[name]


def _folder() -> Path:
    """`wandb/` of WANDB_DIR, else of the project: DVC names it, since its queue works in copies that it throws away."""
    return Path(os.environ.get("WANDB_DIR") or os.environ.get("DVC_ROOT") or ".").resolve() / "wandb"


@contextmanager
def _environment(folder: Path) -> Iterator[None]:
    """What wandb takes from variables alone, unless they are set.

    Copies of artifacts, and logs, stay with the runs: a home may be full or read-only. Nothing is printed, and nothing
    of ours goes to wandb's own error reports: offline means no network.
    """
    ours = {
        "WANDB_DATA_DIR": str(folder / "data"),
        "WANDB_CACHE_DIR": str(folder / "cache"),
        "WANDB_ERROR_REPORTING": "false",
        "WANDB_SILENT": "true",
    }
    missing = {name: value for name, value in ours.items() if name not in os.environ}
    os.environ.update(missing)
    try:
        yield
    finally:
        for name in missing:
            os.environ.pop(name, None)


def _try_room(folder: Path) -> None:
    """Raises OSError unless `folder` takes ROOM bytes. wandb itself would go to another folder, or lose them."""
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryFile(dir=folder) as file:
        file.write(bytes(MIN_FREE_BYTES))


def _reach() -> None:
    """Raises OSError at once if there is no network; wandb itself would try for long."""
    address = os.environ.get("WANDB_BASE_URL") or "https://api.wandb.ai"
    with suppress(urllib.error.HTTPError):  # an answer, whatever it says
        urllib.request.urlopen(address, timeout=TIMEOUT_S / 3).close()


def _leave() -> None:
    """End wandb, its own process dead, deaf or whole: when Python exits it would wait for that, and complain."""
    _kill()
    with suppress(Exception, SystemExit):  # of a process found dead it takes the exit code for its own
        sys.modules["wandb"].teardown()


def _kill() -> None:
    """Kill wandb's own process: whoever waits for an answer of it gets an error."""
    with suppress(Exception, SystemExit):
        from wandb.sdk import wandb_setup

        process = wandb_setup.singleton().assert_service()._proc._process
        process.kill()
        process.wait(1)


def in_short(error: Exception) -> str:
    """An error in one line."""
    return " ".join(f"{type(error).__name__} {error}".split())[:200]

"""wandb that fails costs one warning: no result, no stop, no wait."""

import errno
import http.server
import os
import socket
import subprocess
import sys
import threading
import time
from contextlib import suppress
from pathlib import Path

import psutil
import pytest
import torch
import wandb

from pipeline.tracking import wandb_run
from pipeline.training.tracker import Tracker
from support.offline import read_run, runs

pytestmark = pytest.mark.slow  # a process for each of them

CPU = torch.device("cpu")
KEY = "0" * 40
CELL, OTHER = Path("runs/a/b"), Path("runs/a/c")
SOON = 15  # seconds: what a busy machine may take, and less than waiting for wandb takes

APART = ["unshare", "--mount", "--map-root-user", "sh", "-c"]  # what is mounted there is seen there alone


def mounts() -> bool:
    try:
        return subprocess.run([*APART, "mount -t tmpfs none /mnt"], capture_output=True).returncode == 0
    except OSError:
        return False


@pytest.fixture
def home(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name in ("WANDB_MODE", "WANDB_API_KEY", "WANDB_DIR", "DVC_ROOT", "DVC_EXP_NAME", "WANDB_BASE_URL"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(wandb_run, "PATIENCE", 30)  # who waits for wandb waits so long: far longer than SOON
    monkeypatch.setattr(wandb_run, "UPLOAD", 30)
    monkeypatch.setattr(wandb_run, "_stuck", threading.Event())
    yield tmp_path
    with suppress(Exception, SystemExit):  # of a process that a test has killed
        wandb.teardown()


def train(folder: Path, during=lambda: None) -> float:
    """A training that takes no time; the seconds it took all the same."""
    start = time.perf_counter()
    with Tracker(folder, [0], 2, CPU, {}) as tracker:
        tracker.epoch(0, {"epoch": 1, "lr": 0.1, "val_loss": 2.0})
        during()
        tracker.epoch(0, {"epoch": 2, "lr": 0.1, "val_loss": 1.0})
        tracker.summary({"accuracy": 0.5})
    return time.perf_counter() - start


def untouched(folder: Path) -> bool:
    """All that a training leaves, byte for byte as without wandb."""
    return (folder / "history.tsv").read_text() == "epoch\tlr\tval_loss\tval_loss_seed0\n1\t0.1\t2\t2\n2\t0.1\t1\t1\n"


def warnings(capsys) -> list[str]:
    return [line for line in capsys.readouterr().err.splitlines() if line]


def test_the_folder_is_wandbs_own_choice_then_that_of_dvc_then_here(home, monkeypatch):
    train(CELL)
    monkeypatch.setenv("DVC_ROOT", str(home / "root"))  # DVC's queue works in a copy and throws it away
    train(CELL)
    monkeypatch.setenv("WANDB_DIR", str(home / "chosen"))
    train(CELL)
    assert [len(runs(folder)) for folder in (home, home / "root", home / "chosen")] == [1, 1, 1]


def test_nothing_is_printed_and_no_process_stays(home, capfd):
    train(CELL)
    wandb.teardown()
    assert capfd.readouterr() == ("a/b: accuracy 0.5000\n", "")
    assert "wandb-core" not in [child.name() for child in psutil.Process().children()]


def test_a_mode_that_does_not_exist(home, monkeypatch, capsys):
    monkeypatch.setenv("WANDB_MODE", "no such mode")
    assert train(CELL) < SOON and untouched(CELL)
    (told,) = warnings(capsys)
    assert told == ("warning: wandb is off for a/b: WANDB_MODE is no such mode; expected offline, online, disabled")
    assert not (home / "wandb").exists()


def test_something_else_has_the_name_of_the_folder(home, capsys):
    (home / "wandb").write_text("")
    assert train(CELL) < SOON and untouched(CELL)
    (told,) = warnings(capsys)
    assert "wandb is off for a/b: FileExistsError" in told


@pytest.mark.parametrize("number", [errno.EROFS, errno.ENOSPC])
def test_a_folder_that_takes_nothing(home, monkeypatch, capsys, number):
    """Read-only or full: for root no permission is in the way, so the system's answer is put in its mouth."""

    def refuse(*_, **__):
        raise OSError(number, "no")

    monkeypatch.setattr(wandb_run.tempfile, "TemporaryFile", refuse)
    assert train(CELL) < SOON and untouched(CELL)
    (told,) = warnings(capsys)
    assert f"wandb is off for a/b: OSError [Errno {number}]" in told and runs(home) == []


@pytest.mark.skipif(not mounts(), reason="this system lets nobody mount a file system")
@pytest.mark.parametrize("options", ["ro", "size=64k", "size=1100k"])
def test_a_file_system_that_takes_nothing(home, options):
    """A real one: read-only, full from the start, or full before the run ends."""
    (home / "disk").mkdir()
    code = "import test_wandb_run as t; t.fill_and_train(t.CELL)"
    mount = f"mount -t tmpfs -o {options} none disk && WANDB_DIR=disk {sys.executable} -c '{code}'"
    inside = os.environ | {"PYTHONPATH": f"{Path(__file__).parent}:{Path(__file__).parent.parent}"}
    done = subprocess.run([*APART, mount], env=inside, capture_output=True, text=True)
    assert done.returncode == 0 and untouched(CELL), done.stderr
    assert done.stderr.count("warning: wandb is off for a/b: OSError") == 1 and "Traceback" not in done.stderr


def fill_and_train(folder: Path) -> float:
    def fill() -> None:
        """Take what room there is, in the middle of the run."""
        time.sleep(1)
        try:
            Path("disk/filler").write_bytes(bytes(2**21))
        except OSError:
            pass

    return train(folder, fill)


def test_its_process_dies(home, capsys):
    def kill() -> None:
        _core().kill()

    assert train(CELL, kill) < SOON and untouched(CELL)
    (told,) = warnings(capsys)
    assert "wandb is off for a/b: Connection" in told
    assert train(OTHER) < SOON and read_run(runs(home)[-1]).code == 0  # the next run has one of its own


def test_its_process_hangs(home, monkeypatch, capsys):
    monkeypatch.setattr(wandb_run, "PATIENCE", 2)
    assert 2 < train(CELL, lambda: _core().suspend()) < SOON and untouched(CELL)
    told = [line for line in warnings(capsys) if line.startswith("warning")]
    assert len(told) == 1 and "wandb is off for a/b: no answer for 2 seconds" in told[0]
    assert not [thread.name for thread in threading.enumerate() if thread.name.startswith("wandb ")]  # none to meddle
    train(OTHER)
    assert len(runs(home)) == 1  # once is enough: later runs do without


def _core() -> psutil.Process:
    """wandb's own process, once it is there and its run is open."""
    deadline = time.monotonic() + 20
    while not runs(Path.cwd()):
        assert time.monotonic() < deadline
        time.sleep(0.05)
    time.sleep(0.3)
    return next(child for child in psutil.Process().children() if child.name() == "wandb-core")


class Refuses(http.server.BaseHTTPRequestHandler):
    """A server to which no key is right."""

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers.get("Content-Length", 0)))
        self.send_response(401)
        self.end_headers()
        self.wfile.write(b'{"errors": [{"message": "no"}]}')

    do_GET = do_POST

    def log_message(self, *_) -> None:
        pass


@pytest.fixture
def refusing():
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Refuses) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_address[1]}"
        server.shutdown()


@pytest.fixture
def silent():
    """A server that takes a call and never answers."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield f"http://127.0.0.1:{server.getsockname()[1]}"


@pytest.mark.parametrize(("key", "reason"), [(KEY, "CommError"), ("short", "AuthenticationError")])
def test_a_bad_key_online_goes_offline(home, monkeypatch, capsys, refusing, key, reason):
    online(monkeypatch, refusing, key)
    assert train(CELL) < SOON and untouched(CELL)
    (told,) = warnings(capsys)
    assert f"wandb stays offline for a/b: {reason}" in told and key not in told
    logged = read_run(runs(home)[0])
    assert [item["epoch"] for item in logged.history] == [1, 2] and logged.summary["accuracy"] == 0.5


def test_no_network_online_goes_offline_at_once(home, monkeypatch, capsys):
    online(monkeypatch, "http://127.0.0.1:9")
    assert train(CELL) < SOON and untouched(CELL)
    (told,) = warnings(capsys)
    assert "wandb stays offline for a/b: URLError" in told and read_run(runs(home)[0]).code == 0


def test_a_server_that_never_answers_is_left_alone_soon(home, monkeypatch, capsys, silent):
    monkeypatch.setattr(wandb_run, "PATIENCE", SOON)  # a third of it for the server; wandb itself would take it all
    online(monkeypatch, silent)
    assert train(CELL) < SOON and untouched(CELL)
    (told,) = warnings(capsys)
    assert "wandb stays offline for a/b: TimeoutError" in told and len(runs(home)) == 1


def online(monkeypatch, address: str, key: str = KEY) -> None:
    monkeypatch.setenv("WANDB_MODE", "online")
    monkeypatch.setenv("WANDB_BASE_URL", address)
    monkeypatch.setenv("WANDB_API_KEY", key)

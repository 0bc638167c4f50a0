"""Files made to harm: nothing in them runs, is written elsewhere, or takes over 200 MB of memory."""

import pickle
import shutil
import subprocess
import sys
import zlib
from collections.abc import Callable
from pathlib import Path

import pytest

from support import faults
from support.bombs import Bomb
from support.commands import ROOT

pytestmark = pytest.mark.slow  # a process for each of them

MAX_MB = 200  # of memory


def pickled(folder: Path) -> None:
    """Write a .npy file of Python objects whose reading makes a file."""
    body = pickle.dumps(Bomb(folder.parent / "run"))
    (folder / faults.DEPTH).write_bytes(faults.header("(1,)", "'|O'") + body)


def bare_pickle(folder: Path) -> None:
    (folder / faults.DEPTH).write_bytes(pickle.dumps(Bomb(folder.parent / "run")))


def header_of(shape: str, descr: str = "'<f4'") -> Callable[[Path], object]:
    return faults.written(faults.header(shape, descr) + bytes(16384), faults.DEPTH)


def bomb(width: int, height: int, blocks: int) -> Callable[[Path], object]:
    """Write a PNG file of a few KB whose data unpacks to `blocks` MB."""
    packer = zlib.compressobj(9)
    data = b"".join(packer.compress(bytes(1 << 20)) for _ in range(blocks)) + packer.flush()
    return faults.written(faults.png(width, height, 8, 6, data))


def text_bomb(folder: Path) -> None:
    """Write a good picture with a compressed comment of 500 MB."""
    good = (folder / faults.RGB).read_bytes()
    packer = zlib.compressobj(9)
    data = b"".join(packer.compress(bytes(1 << 20)) for _ in range(500)) + packer.flush()
    (folder / faults.RGB).write_bytes(good[:33] + faults.chunk(b"zTXt", b"Comment\0\0" + data) + good[33:])


def huge(folder: Path) -> None:
    """Write a file of 100 GB, without a byte on disk."""
    with (folder / faults.RGB).open("r+b") as file:
        file.truncate(100 << 30)


def endless(folder: Path) -> None:
    (folder / faults.RGB).unlink()
    (folder / faults.RGB).symlink_to("/dev/zero")


HOSTILE: dict[str, tuple[Callable[[Path], object], str]] = {
    "pickled array": (pickled, "pickled"),
    "bare pickle": (bare_pickle, "magic"),
    "array of a terabyte": (header_of("(1000000, 250000)"), "shape"),
    "array of more than there is": (header_of("(9223372036854775807, 9223372036854775807)"), "shape"),
    "array of a negative size": (header_of("(-64, -64)"), "shape"),
    "header that is a program": (header_of("__import__('os')"), "header"),
    "header of 60 KB": (header_of("(" + "1, " * 20_000 + ")"), "header"),
    "header of brackets": (header_of("(" * 3000 + ")" * 3000), "header"),
    "structured type": (header_of("(64, 64)", "[('a', '<f4', (1000000, 1000000))]"), "header"),
    "picture of terapixels": (bomb((1 << 31) - 1, (1 << 31) - 1, 1), "size"),
    "picture of a gigapixel": (bomb(32768, 32768, 4), "size"),
    "picture with 300 MB of data": (bomb(64, 64, 300), "bomb"),
    "comment of 500 MB": (text_bomb, "damaged"),
    "file of a hundred gigabytes": (huge, "too-large"),
    "endless file": (endless, "not-a-file"),
    "pipe": (faults.FAULTS["rgb is a pipe"].plant, "not-a-file"),
}


# the memory of the program itself: what its parent reports would count the parent's, from which it was forked
MEASURED = """
import atexit, re, runpy, sys
status = lambda: re.search(r"VmHWM:\\s+(\\d+) kB", open("/proc/self/status").read())[1]
atexit.register(lambda: print("peak", status(), file=sys.stderr))
sys.argv[0] = "pipeline"
runpy.run_module("pipeline", run_name="__main__")
"""


def check(folder: Path) -> tuple[int, str, float]:
    """Run `check --json` in a process of its own -> (exit code, output, peak memory in MB)."""
    command = [sys.executable, "-c", MEASURED, "check", str(folder), "--json"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=60)
    *errors, peak = done.stderr.splitlines()
    return done.returncode, "\n".join([done.stdout, *errors]), int(peak.removeprefix("peak ")) / 1024


@pytest.mark.parametrize("plant, code", HOSTILE.values(), ids=HOSTILE)
def test_a_hostile_file_is_refused_and_harms_nothing(
    raw_folder: Path, tmp_path: Path, plant: Callable, code: str
) -> None:
    folder = Path(shutil.copytree(raw_folder, tmp_path / "set"))
    plant(folder)
    status, output, memory = check(folder)
    assert status == 1 and f'"code": "{code}"' in output and "Traceback" not in output, output
    assert memory < MAX_MB
    assert [path.name for path in tmp_path.iterdir()] == ["set"]  # nothing ran
    assert not list(ROOT.glob("run"))


def test_the_same_pickle_would_have_run(tmp_path: Path) -> None:
    """Else the test above could not fail."""
    pickle.loads(pickle.dumps(Bomb(tmp_path / "run")))
    assert (tmp_path / "run").exists()

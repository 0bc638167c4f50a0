"""A byte that flips inside DVC's cache is found by its MD5 before the restored file is used."""

import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from pipeline.jobs.driver import repro
from support.commands import shell

pytestmark = pytest.mark.slow


def flip(path: Path) -> None:
    """Change the last character of a file as a disk does: time and mode stay."""
    before = path.stat()
    path.chmod(0o644)
    path.write_bytes(path.read_bytes()[:-2] + b"?\n")
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
    path.chmod(before.st_mode)


def test_a_decayed_file_of_the_cache_is_named_and_made_anew(
    project: Path, log: Callable[[], list[str]], capsys: pytest.CaptureFixture[str]
) -> None:
    (project / "alone.sh").write_text("echo alone >> log; mkdir -p alone; echo a > alone/a; echo b > alone/b\n")
    repro()
    assert len(log()) == 5
    (cached,) = (
        path for path in (project / ".dvc/cache/files/md5").rglob("*") if path.is_file() and path.read_bytes() == b"b\n"
    )
    flip(cached)
    for name in ("first", "wide-x", "wide-y", "wide-z", "last"):
        (project / name).unlink()
    shutil.rmtree(project / "alone")
    assert repro().startswith("stages: 1 run, 5 restored, 0 unchanged")
    assert log() == ["alone"] and (project / "alone/b").read_text() == "b\n"
    assert f"{cached.relative_to(project)}: found bytes of another MD5 than its name; deleted; alone runs" in (
        capsys.readouterr().err
    )
    assert cached.read_bytes() == b"b\n" and shell(project, "dvc status") == "Data and pipelines are up to date.\n"

"""Data sets packed, compared and imported."""

import subprocess
import sys
import zipfile
from collections import Counter
from dataclasses import replace
from pathlib import Path

import pytest

from pipeline.raw.format import DataError
from pipeline.tools.importers.import_dataset import ImportResult, import_dataset
from pipeline.tools.importers.open_source import open_source
from pipeline.tools.importers.source import Source
from support.commands import ROOT

MAX_MEMORY = 200  # MB that opening any source may need


def pack(path: Path, folder: Path, prefix: str = "", only: str = "") -> Path:
    """Write the files of a folder whose names begin with `only` as an archive; return its path."""
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as file:
        for each in sorted(folder.rglob("*.*")):
            name = each.relative_to(folder).as_posix()
            if name.startswith(only):
                file.write(each, prefix + name)
    return path


def same(left: Path, right: Path) -> bool:
    """Return whether both folders hold equal files under equal names."""
    names = [sorted(path.relative_to(each).as_posix() for path in each.rglob("*.*")) for each in (left, right)]
    return names[0] == names[1] and all((left / n).read_bytes() == (right / n).read_bytes() for n in names[0])


def import_set(source: Path, scenes: int | None = None, seed: int = 0, skip: bool = False) -> ImportResult:
    """Import `tmp_path/in/set` into `tmp_path/data`."""
    return import_dataset(str(source), source.parent.parent / "data", scenes, seed, skip)


def refused(folder: Path, **options: bool) -> str:
    """Return the error message of an import of `tmp_path/in/set`; no file is left, not even a hidden one."""
    with pytest.raises(DataError) as caught:
        import_set(folder, **options)
    assert [each.name for each in folder.parent.parent.iterdir()] == ["in"]
    return "\n".join(map(str, caught.value.args))


def gone(folder: Path, *names: str) -> None:
    """Remove files of a folder."""
    for name in names:
        (folder / name).unlink()


def open_measured(path: Path) -> tuple[str, int]:
    """Return the error of opening in a process with 1 GB of address space, and the process's peak memory in MB."""
    code = f"""
import re, resource
resource.setrlimit(resource.RLIMIT_AS, (1 << 30, 1 << 30))
from pipeline.tools.importers.open_source import open_source
try:
    open_source({str(path)!r})
except ValueError as error:
    print(error)
print(int(re.search(r"VmHWM:\\s+(\\d+) kB", open("/proc/self/status").read())[1]) // 1024)
"""
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    *message, peak = done.stdout.splitlines()
    return "\n".join(message), int(peak)


def count_reads(monkeypatch: pytest.MonkeyPatch) -> Counter[str]:
    """Return a counter of how often each member of an imported source is read, from now on."""
    count: Counter[str] = Counter()

    def open_counted(where: str) -> Source:
        source = open_source(where)

        def read(name: str) -> bytes:
            count[name] += 1
            return source.read(name)

        return replace(source, read=read)

    monkeypatch.setattr("pipeline.tools.importers.import_dataset.open_source", open_counted)
    return count

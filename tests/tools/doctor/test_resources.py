"""Cores, memory, /dev/shm and disk, each short of something by a cause that is faked."""

import os
from pathlib import Path

import pytest

from pipeline.core import cores
from pipeline.tools.doctor.finding import Finding
from pipeline.tools.doctor.resources import check_cores, check_disk, check_memory, check_shared_memory
from support.mounts import in_own_mounts

GIB = 2**30
PRINT = "from pipeline.tools.doctor.resources import *; print(*{}(), sep=chr(10))"
ON_96_CORES = "import os; os.cpu_count = lambda: 96; os.sched_getaffinity = lambda _: set(range({})); "


def finding(check: str, mounts: str, before: str = "") -> Finding:
    """Return what a check finds in a process that has mounts of its own."""
    return Finding(*in_own_mounts(before + PRINT.format(check), mounts).split("\n")[:3])


def cgroup(monkeypatch: pytest.MonkeyPatch, folder: Path, limit: int, used: int) -> None:
    """Fake the files of a memory cgroup of version 2."""
    (folder / "memory.max").write_text(f"{limit}\n")
    (folder / "memory.current").write_text(f"{used}\n")
    (folder / "memory.stat").write_text("inactive_file 0\n")
    monkeypatch.setattr(cores, "CGROUP", folder)


def full_disk(monkeypatch: pytest.MonkeyPatch, free: int) -> None:
    """Fake a file system of 100 GB with `free` bytes left."""
    blocks = (1, 1, 100 * 10**9, free, free, 0, 0, 0, 0, 255)
    monkeypatch.setattr(os, "statvfs", lambda path: os.statvfs_result(blocks))


@pytest.mark.environment
def test_cores_are_limited_by_a_quota() -> None:
    mounts = 'mount -t tmpfs none /sys/fs/cgroup; echo "250000 100000" > /sys/fs/cgroup/cpu.max'
    status, found, fix = finding("check_cores", mounts, ON_96_CORES.format(96))
    assert status == "note" and found.startswith("3 of 96, by a quota of the cgroup") and "--cpus" in fix


@pytest.mark.environment
def test_cores_are_limited_by_affinity() -> None:
    status, found, fix = finding("check_cores", "true", ON_96_CORES.format(4) + 'os.environ.pop("LOKY", None); ')
    assert (status, found) == ("note", "4 of 96, by processor affinity") and "taskset" in fix


def test_all_cores_are_fine(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pipeline.core.cores.count_cores", lambda: 8)
    monkeypatch.setattr(os, "cpu_count", lambda: 8)
    assert check_cores() == Finding("ok", "8, all of this machine")


def test_too_little_memory_for_one_training(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    cgroup(monkeypatch, tmp_path, limit=GIB, used=GIB // 2)
    status, found, fix = check_memory()
    assert status == "problem" and "docker run --memory" in fix
    assert found == "found 0.5 GiB free by the cgroup's limit, expected 1.0 GiB for one training"


def test_memory_counts_trainings(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pipeline.core.cores.available_memory", lambda: 5 * GIB // 2)
    monkeypatch.setattr("psutil.virtual_memory", lambda: type("Memory", (), {"available": 5 * GIB // 2}))
    assert check_memory() == Finding("ok", "2.5 GiB free: enough for 2 trainings at a time")


@pytest.mark.environment
def test_shared_memory_that_bars_semaphores() -> None:
    status, found, fix = finding("check_shared_memory", "mount -t tmpfs -o ro none /dev/shm")
    assert status == "note" and "one process reads the raw frames" in found and "/dev/shm" in fix


def test_shared_memory_is_too_small_for_ray(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("psutil.virtual_memory", lambda: type("Memory", (), {"total": 10 * GIB}))
    full_disk(monkeypatch, free=2**26)  # Docker's default
    for installed, status in ((None, "ok"), ("ray", "note")):
        monkeypatch.setattr("pipeline.tools.doctor.resources.find_spec", lambda name, found=installed: found)
        assert check_shared_memory().status == status
    assert check_shared_memory().found == "0.1 GiB free, and Ray keeps its objects in 3.0 GiB of it by default"
    full_disk(monkeypatch, free=4 * GIB)
    assert check_shared_memory() == Finding("ok", "4.0 GiB free")


def test_a_full_disk(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    full_disk(monkeypatch, free=GIB // 2)
    assert check_disk() == Finding(
        "problem", f"found 0.5 GiB free in {tmp_path}, expected 0.9 GiB for a run", "free space"
    )
    full_disk(monkeypatch, free=2 * GIB)
    assert check_disk() == Finding("ok", "2.0 GiB free, and a run from nothing takes 0.9 GiB")


def test_data_of_your_own_need_more_space(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    full_disk(monkeypatch, free=2 * GIB)
    (tmp_path / "data.dvc").write_text(f"outs: [{{md5: abc.dir, size: {GIB}, path: data}}]")
    assert check_disk().status == "problem" and "expected 4.7 GiB" in check_disk().found
    (tmp_path / "data.dvc").write_text("outs: [{")
    assert check_disk().status == "ok"


@pytest.mark.environment
def test_a_folder_that_bars_writing() -> None:
    before = 'import os, sys; sys.path.append(os.getcwd()); os.chdir("/mnt"); '
    status, found, fix = finding("check_disk", "mount -t tmpfs -o ro none /mnt", before)
    assert (status, found) == ("problem", "/mnt cannot be written to") and ":ro" in fix

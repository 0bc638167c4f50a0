"""What this process may use of the machine."""

import os
import subprocess
import sys

import pytest

from support.commands import ROOT
from support.mounts import in_own_mounts

COUNT = "from pipeline.core.cores import count_cores; print(count_cores())"
MEMORY = "from pipeline.core.cores import available_memory; print(available_memory())"


def test_cores_count_by_affinity() -> None:
    one = min(os.sched_getaffinity(0))
    code = f"import os; os.sched_setaffinity(0, [{one}]); {COUNT}"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, timeout=60)
    assert (done.stdout, done.stderr) == ("1\n", "")


@pytest.mark.environment
@pytest.mark.parametrize(
    "quota, expected", [("100000 100000", 1), ("max 100000", 96), ("250000 100000", 3), ("200000 100000", 2)]
)
def test_cores_count_by_the_cgroups_quota(quota: str, expected: int) -> None:
    """As under `docker --cpus`, on a host of 96 cores."""
    mounts = f'mount -t tmpfs none /sys/fs/cgroup; echo "{quota}" > /sys/fs/cgroup/cpu.max'
    cores = "import os; os.cpu_count = lambda: 96; os.sched_getaffinity = lambda _: set(range(96)); "
    assert in_own_mounts(cores + COUNT, mounts) == f"{expected}\n"


@pytest.mark.environment
def test_memory_ends_at_the_cgroups_limit() -> None:
    """As under `docker --memory 1000`: 300 bytes are in use, and the kernel can drop 200 of them."""
    files = "echo 1000 > /sys/fs/cgroup/memory.max; echo 300 > /sys/fs/cgroup/memory.current"
    files += '; printf "anon 100\\ninactive_file 200\\n" > /sys/fs/cgroup/memory.stat'
    assert in_own_mounts(MEMORY, f"mount -t tmpfs none /sys/fs/cgroup; {files}") == "900\n"


@pytest.mark.environment
def test_memory_without_a_limit_is_that_of_the_system() -> None:
    mounts = "mount -t tmpfs none /sys/fs/cgroup; echo max > /sys/fs/cgroup/memory.max"
    assert int(in_own_mounts(MEMORY, mounts)) > 2**26


def test_a_limit_of_address_space_is_named_before_a_library_waits_for_memory() -> None:
    command = f"ulimit -v 716800; exec '{sys.executable}' -m pipeline check data"
    done = subprocess.run(["sh", "-c", command], cwd=ROOT, capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == (
        "error: found a limit of 700 MB on the address space of a process, expected at least 1,536 MB; raise it: "
        "`ulimit -v unlimited`\n"
    )

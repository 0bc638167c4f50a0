"""What this process may use of the machine: cores, by affinity and cgroup quota, and memory, by cgroup limit."""

import resource
from pathlib import Path

from pipeline.core.errors import PipelineError

# libraries start their threads when they are imported, so that the environment is the one place to limit them
ONE_THREAD = {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"}
ADDRESS_SPACE = 3 * 2**29  # bytes with which a small stage computes; it fails at 1.2 GB, and does at 1.5 GB
CGROUP = Path("/sys/fs/cgroup")
# limit, usage and statistics of a memory cgroup: version 2, then version 1
MEMORY_FILES = (
    ("memory.max", "memory.current", "memory.stat"),
    ("memory/memory.limit_in_bytes", "memory/memory.usage_in_bytes", "memory/memory.stat"),
)


def count_cores() -> int:
    """Return how many cores this process may use by affinity and by cgroup quota (`docker --cpus`)."""
    from joblib import cpu_count  # a quarter of a second that a run with nothing to do goes without

    return cpu_count()


def require_address_space() -> None:
    """Raise PipelineError if `ulimit -v` is too low for the libraries: OpenBLAS waits forever for memory to start."""
    limit, _ = resource.getrlimit(resource.RLIMIT_AS)
    if limit != resource.RLIM_INFINITY and limit < ADDRESS_SPACE:
        raise PipelineError(
            f"found a limit of {limit // 2**20:,} MB on the address space of a process, expected at least "
            f"{ADDRESS_SPACE // 2**20:,} MB; raise it: `ulimit -v unlimited`"
        )


def available_memory() -> int:
    """Return the bytes that this process and its children may still take, by the system and by the cgroup's limit."""
    import psutil  # a missing package is for `doctor` to tell

    free = psutil.virtual_memory().available
    for limit, usage, stat in MEMORY_FILES:
        if (CGROUP / limit).is_file() and (allowed := (CGROUP / limit).read_text().strip()) != "max":
            # files in memory count as used, although the kernel drops those it has not touched for a while
            droppable = dict(line.split() for line in (CGROUP / stat).read_text().splitlines()).get("inactive_file", 0)
            free = min(free, int(allowed) - int((CGROUP / usage).read_text()) + int(droppable))
    return max(free, 0)

"""Checks of what this process may use: cores, memory, shared memory, disk.

Each check imports packages when it runs, so that an absent one is a finding as well.
"""

import multiprocessing
import os
import shutil
from importlib.util import find_spec
from pathlib import Path

from pipeline.tools.doctor.finding import Finding, gib, note, ok, problem

SHARE_OF_RAY = 0.3  # of the memory: Ray's default for the objects of a node
# measured with the default parameters and data, from nothing to a finished run: 995 MB, of which the copies of the data
# took 264; the rest is nets, histories and pictures in runs/ and in DVC's cache, and 57 MB of wandb
BYTES_BESIDE_THE_DATA = 731 * 10**6
COPIES_OF_THE_DATA = 4  # raw and prepared, each in the workspace and in DVC's cache
BYTES_OF_THE_DEFAULT_DATA = 66 * 10**6


def check_cores() -> Finding:
    """Compare the cores that this process may use with those of the machine."""
    from pipeline.core.cores import count_cores

    cores, present, bound = count_cores(), os.cpu_count() or 1, len(os.sched_getaffinity(0))
    if cores == present:
        return ok(f"{cores}, all of this machine")
    if cores < bound:
        cause, fix = "a quota of the cgroup or LOKY_MAX_CPU_COUNT", "for more, raise it: `docker run --cpus`"
    else:
        cause, fix = "processor affinity", "for more, start without `taskset` or `docker run --cpuset-cpus`"
    return note(f"{cores} of {present}, by {cause}", fix)


def check_memory() -> Finding:
    """Compare the free memory, by the system and by the cgroup's limit, with what one training needs."""
    import psutil

    from pipeline.core.cores import available_memory
    from pipeline.jobs.driver import BYTES_OF_A_TRAINING

    free, of_the_system = available_memory(), psutil.virtual_memory().available
    cause = " by the cgroup's limit" if free < of_the_system * 0.9 else ""  # the second is measured a moment later
    trainings = free // BYTES_OF_A_TRAINING
    if trainings:
        return ok(f"{gib(free)} free{cause}: enough for {trainings} trainings at a time")
    return problem(
        f"found {gib(free)} free{cause}, expected {gib(BYTES_OF_A_TRAINING)} for one training",
        "end other programs, or raise the limit: `docker run --memory`",
    )


def check_shared_memory() -> Finding:
    """Try whether processes can share semaphores, which lie in /dev/shm, and whether Ray's objects find room there."""
    import psutil

    try:
        multiprocessing.Semaphore()
    except OSError as error:
        return note(
            f"processes cannot share semaphores ({error.strerror}); one process reads the raw frames",
            "mount a /dev/shm that can be written to",
        )
    free, needed = shutil.disk_usage("/dev/shm").free, SHARE_OF_RAY * psutil.virtual_memory().total
    if find_spec("ray") and free < needed:
        return note(
            f"{gib(free)} free, and Ray keeps its objects in {gib(needed)} of it by default",
            "`docker run --shm-size`, or start Ray with a smaller --object-store-memory; only Ray needs it",
        )
    return ok(f"{gib(free)} free")


def check_disk() -> Finding:
    """Compare the free space of the working directory with what a run from nothing takes."""
    folder = Path.cwd()
    if not os.access(folder, os.W_OK):
        return problem(f"{folder} cannot be written to", "make it writable, or mount it without `:ro`")
    free, needed = shutil.disk_usage(folder).free, BYTES_BESIDE_THE_DATA + COPIES_OF_THE_DATA * _size_of_the_data()
    if free < needed:
        return problem(f"found {gib(free)} free in {folder}, expected {gib(needed)} for a run", "free space")
    return ok(f"{gib(free)} free, and a run from nothing takes {gib(needed)}")


def _size_of_the_data() -> int:
    """Return the bytes of the raw data as data.dvc has them; without a readable one, those of the default data."""
    import yaml

    try:
        return int(yaml.safe_load(Path("data.dvc").read_text(encoding="utf-8"))["outs"][0]["size"])
    except (OSError, ValueError, KeyError, IndexError, TypeError, yaml.YAMLError):
        return BYTES_OF_THE_DEFAULT_DATA

"""Worker processes that read frames: how many, how they start, and how they end.

joblib's pool was measured in place of this one (8,000 pairs, two busy cores): it took 12% more processor time in
`check` and 8% in `prepare`, and its workers still ran a minute after their parent had been killed. joblib's count of
processors is used, since it knows affinity and cgroup quotas.
"""

import os
import signal
import sys
import threading
import warnings
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from multiprocessing import active_children, get_context, parent_process
from typing import TypeVar

from pipeline.core.cores import ONE_THREAD
from pipeline.core.errors import PipelineError
from pipeline.core.slots import count_slots

TASKS_OF_A_WORKER = 2  # its process, and the thread that watches the parent
TASKS_OF_THE_POOL = 3  # its two threads, and Python's process that frees semaphores
Item = TypeVar("Item")
Result = TypeVar("Result")


def count_workers() -> int:
    """Return how many worker processes to start: as many as slots, or 1 where the system bars them.

    It bars them without shared semaphores, for example by a read-only /dev/shm, and by a limit of processes. Near such
    a limit a pool would wait forever: its own thread dies when it starts another.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # joblib warns that it would work serially; so do the callers
        from joblib import effective_n_jobs  # slow to import, and small folders are read without it

        workers = effective_n_jobs(count_slots())
    if workers == 1 or _can_start(workers * TASKS_OF_A_WORKER + TASKS_OF_THE_POOL):
        return workers
    print(
        f"the limit of processes, `ulimit -u` or the container's pids.max, is too low for {workers} processes that "
        "read frames; one process reads them",
        file=sys.stderr,
    )
    return 1


def map_in_processes(work: Callable[[Item], Result], items: Iterable[Item], workers: int) -> Iterator[Result]:
    """Yield `work(item)` for every item, in order, from a pool of worker processes with one thread each for BLAS.

    The processes are spawned, since a forked process with threads can hang. They leave Ctrl-C to the parent, and end
    with the parent, however it ends. Raises PipelineError if a worker was killed or could not start.
    """
    pool = ProcessPoolExecutor(workers, mp_context=get_context("spawn"), initializer=_watch_parent)
    try:
        with _environment(ONE_THREAD), _block_interrupts():  # the processes start as the work is submitted
            results = pool.map(work, items)
    except (BlockingIOError, RuntimeError) as error:  # of a process or of a thread that the system refuses
        for process in active_children():
            process.kill()
            process.join()
        raise PipelineError(
            f"found no room for {workers} processes that read frames ({error}); expected it: raise the limit, which is "
            "that of `ulimit -u` or the container's pids.max"
        ) from None
    try:
        yield from results
    except BrokenProcessPool:
        raise PipelineError(
            "a process that reads frames was killed, perhaps for want of memory or of processes: run it again"
        ) from None
    finally:
        pool.shutdown(cancel_futures=True)


def _can_start(tasks: int) -> bool:
    """Return whether the system lets this user start so many processes and threads, by starting threads."""
    end = threading.Event()
    threads = [threading.Thread(target=end.wait, daemon=True) for _ in range(tasks)]
    try:
        for thread in threads:
            thread.start()
    except RuntimeError:
        return False
    finally:
        end.set()
        for thread in threads:
            if thread.ident:
                thread.join()
    return True


@contextmanager
def _environment(variables: dict[str, str]) -> Iterator[None]:
    """Set environment variables for the processes that start inside the block."""
    before = {name: os.environ.get(name) for name in variables}
    os.environ.update(variables)
    try:
        yield
    finally:
        for name, value in before.items():
            os.environ.pop(name) if value is None else os.environ.update({name: value})


@contextmanager
def _block_interrupts() -> Iterator[None]:
    """Block Ctrl-C for the processes that start inside the block; this process gets it at the end of the block.

    A worker that ignored the signal by itself would still print a traceback while it starts.
    """
    before = signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGINT])
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _watch_parent() -> None:
    """End this worker as soon as its parent has ended."""
    threading.Thread(target=_exit_with_parent, daemon=True).start()


def _exit_with_parent() -> None:
    parent = parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)

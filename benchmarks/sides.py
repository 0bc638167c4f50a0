"""The sides of a comparison: processes of their own for the course's recipe and for each precision of this project.

What one side sets for its process, such as the memory allocator or the threads, does not reach the other. Every side
computes on one thread.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from multiprocessing import get_context
from typing import Any

import torch

from pipeline.core import device

COURSE = "course"
CPU = torch.device("cpu")
Call = tuple[str, Callable[..., Any], tuple[Any, ...]]  # the side, and what it computes


def native_precisions() -> list[str]:
    """Return the precisions of this project that the processor multiplies natively, float32 first."""
    native = device.precision_name(CPU)
    return ["float32"] if native == "float32" else ["float32", native]


def set_precision(name: str) -> None:
    """Set up this process as a stage does, in the precision `name`."""
    device.setup_device(name)


class Sides:
    """The running processes, by the name of their side."""

    def __init__(self, pools: Mapping[str, ProcessPoolExecutor], jobs: int) -> None:
        self._pools = pools
        self._jobs = jobs

    def run(self, side: str, work: Callable[..., Any], *arguments: Any) -> Any:
        """Return `work(*arguments)`, computed by a process of `side` while all others wait."""
        return self._pools[side].submit(work, *arguments).result()

    def run_all(self, calls: Sequence[Call]) -> list[Any]:
        """Return the result of every call, in order; as many of them run at a time as the sides have processes."""
        with ThreadPoolExecutor(self._jobs) as threads:
            return list(threads.map(lambda call: self.run(call[0], call[1], *call[2]), calls))


@contextmanager
def open_sides(jobs: int) -> Iterator[Sides]:
    """Yield the sides, each with up to `jobs` processes; they end with the block."""
    spawn, pools = get_context("spawn"), {}
    with ExitStack() as stack:
        pools[COURSE] = stack.enter_context(ProcessPoolExecutor(jobs, spawn, torch.set_num_threads, (1,)))
        for name in native_precisions():
            pools[name] = stack.enter_context(ProcessPoolExecutor(jobs, spawn, set_precision, (name,)))
        yield Sides(pools, jobs)

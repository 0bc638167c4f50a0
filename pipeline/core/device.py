"""Where the arithmetic runs: device, precision, seeds, and one thread per seed on a CPU.

Results must not depend on how many cores a machine has, so each training runs on one thread,
and the seeds of a stage share the cores. On a GPU the seeds run one after another.
"""

import ctypes
import os
import platform
import resource
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import FIRST_EXCEPTION, ThreadPoolExecutor, wait
from contextlib import AbstractContextManager, suppress
from pathlib import Path
from time import perf_counter, thread_time
from typing import TypeVar

import torch  # noqa: E402  (the variable above is read when CUDA starts)

os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")  # cuBLAS repeats its sums only with this set

M_TRIM_THRESHOLD, M_TOP_PAD, M_MMAP_THRESHOLD = -1, -2, -3  # of glibc's malloc.h
Item = TypeVar("Item")
Result = TypeVar("Result")
_stop = threading.Event()
_building = threading.Lock()


class Cancelled(Exception):
    """Raised inside a training whose stage was interrupted, or whose sibling failed."""


def setup_device() -> torch.device:
    """The first CUDA device if there is one, else the CPU; asks for repeatable algorithms on either."""
    torch.use_deterministic_algorithms(True, warn_only=True)
    torch.utils.deterministic.fill_uninitialized_memory = False  # a guard against reading it that costs 5% of a step
    torch.set_num_threads(1)
    _keep_freed_memory()
    return torch.device("cuda" if torch.cuda.is_available() else "cpu")


def _keep_freed_memory() -> None:
    """Ask glibc not to hand freed tensors back to the system: every step wants the same again, zeroed page by page.

    Measured on two cores: a quarter of the page faults, 5% less computing time, 10% more memory.
    """
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)  # other C libraries have none
    if mallopt:
        for option, value in ((M_TRIM_THRESHOLD, 2**31 - 1), (M_TOP_PAD, 2**26), (M_MMAP_THRESHOLD, 2**25)):
            mallopt(option, value)


def precision(device: torch.device) -> torch.dtype:
    """bfloat16 where the hardware multiplies it natively, else float32."""
    if device.type == "cuda":
        return torch.bfloat16 if torch.cuda.is_bf16_supported(including_emulation=False) else torch.float32
    return torch.bfloat16 if torch.cpu._is_avx512_bf16_supported() else torch.float32


def autocast(device: torch.device) -> AbstractContextManager:
    """Run convolutions and matrix products in `precision(device)`."""
    dtype = precision(device)
    return torch.autocast(device.type, dtype=dtype, enabled=dtype != torch.float32)


def build_seeded(seed: int, build: Callable[[], Result]) -> Result:
    """Build a module with weights drawn from `seed`; torch draws initial weights from its global generator only.

    Threads take turns: one in the middle of another's draws would change both.
    """
    with _building:
        torch.manual_seed(seed)
        return build()


def make_generator(seed: int) -> torch.Generator:
    """The random order of batches, apart from the global generator."""
    return torch.Generator().manual_seed(seed)


def map_seeds(work: Callable[[Item], Result], items: Sequence[Item], device: torch.device) -> list[Result]:
    """`work(item)` for every item, side by side on a CPU; the first failure or Ctrl-C ends them all."""
    if device.type != "cpu":
        return [work(item) for item in items]
    _stop.clear()
    with ThreadPoolExecutor(max_workers=len(items)) as pool:
        try:
            futures = [pool.submit(work, item) for item in items]
            wait(futures, return_when=FIRST_EXCEPTION)
        finally:
            _stop.set()  # those still running after a failure end at their next step
        failures = [future.exception() for future in futures if future.exception()]
        if failures:
            raise next((each for each in failures if not isinstance(each, Cancelled)), failures[0])
        return [future.result() for future in futures]


def raise_if_cancelled() -> None:
    """Called once a step by every training."""
    if threading.current_thread() is not threading.main_thread() and _stop.is_set():
        raise Cancelled


def compute_seconds(device: torch.device) -> float:
    """Seconds of computing: of this thread alone on a CPU (seeds share the cores), of the wall clock on a GPU."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)
        return perf_counter()
    return thread_time()


def reset_peak_memory(device: torch.device) -> None:
    """Start the peak anew: the GPU's, or on a CPU this process's, where its system can do that."""
    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats(device)
        return
    with suppress(OSError):  # Linux alone has the file, and some containers lock it
        Path("/proc/self/clear_refs").write_text("5")  # 5: the peak becomes what is held now; see proc(5)


def peak_memory(device: torch.device) -> float:
    """Peak in MB: of the GPU's memory, data set included, or of this process on a CPU (one process trains one cell)."""
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device) / 2**20
    try:
        (line,) = (line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("VmHWM"))
        return int(line.split()[1]) / 2**10
    except (OSError, ValueError):
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**10


def device_name(device: torch.device) -> str:
    """The GPU by name, or the processor's kind and the number of cores."""
    if device.type == "cuda":
        return torch.cuda.get_device_name(device)
    return f"{platform.machine()}, {os.cpu_count()} cores"

"""The place of the arithmetic: device, precision, seeds, and one thread per seed on a CPU.

Results must not depend on how many cores a machine has, so each training runs on one thread, and as many seeds run at a
time as there are slots (core/slots.py). On a GPU the seeds run one after another.
"""

import os
import platform
import sys
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import FIRST_EXCEPTION, ThreadPoolExecutor, wait
from contextlib import AbstractContextManager
from math import nan
from time import perf_counter, thread_time
from typing import TypeVar

os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")  # cuBLAS repeats its sums only with this set

import torch  # noqa: E402  (the variable above is read when CUDA starts)
from torch import nn  # noqa: E402

from pipeline.core.errors import PipelineError, printable  # noqa: E402
from pipeline.core.memory import keep_freed_memory  # noqa: E402
from pipeline.core.slots import SHARED_GPU, count_slots, record_seconds, slot  # noqa: E402

Item = TypeVar("Item")
Result = TypeVar("Result")
Net = TypeVar("Net", bound=nn.Module)
DEVICES = ("auto", "cpu", "cuda")
PRECISIONS = {"float32": torch.float32, "bfloat16": torch.bfloat16}
_requested: torch.dtype | None = None  # by setup_device, for all threads; None: by the hardware
_cancelled = threading.Event()
_building = threading.Lock()


class Cancelled(Exception):
    """Raised inside a training whose stage was interrupted, or whose sibling failed."""


def setup_device(requested: str = "auto") -> torch.device:
    """Return the device of `find_device`; ask for repeatable algorithms on it.

    `requested` is the precision of this process: a name in PRECISIONS, or `auto` for what the hardware is made for.
    Raises PipelineError for bfloat16 on a GPU that only emulates it, and as `find_device` does.
    """
    global _requested
    _requested = None if requested == "auto" else PRECISIONS[requested]
    torch.backends.fp32_precision = "ieee"  # type: ignore[attr-defined]  # by default GPUs round convolutions to TF32
    torch.backends.cudnn.conv.fp32_precision = "ieee"  # type: ignore[attr-defined]  # torch 2.11 wants it once more
    # use_deterministic_algorithms does the same and imports torch's compiler first, which costs a second
    torch.set_deterministic_debug_mode("warn")
    # a guard against reading memory before it is written, which costs 5% of a step
    torch.utils.deterministic.fill_uninitialized_memory = False  # type: ignore[attr-defined]
    torch.set_num_threads(1)
    keep_freed_memory()
    device = find_device()
    if _requested == torch.bfloat16 and not has_bfloat16(device):
        if device.type == "cuda":
            raise PipelineError(
                f"params.yaml: precision is bfloat16, and {device_name(device)} does not multiply it; expected a GPU "
                "of compute capability 8.0 or later; set it to float32 or auto"
            )
        print("precision: this processor does not multiply bfloat16 natively; float32 would be faster", file=sys.stderr)
    return device


def find_device() -> torch.device:
    """Return the device that the environment's DEVICE names: `cpu`, `cuda`, or `auto`, which is also the default.

    `cuda` is the first CUDA device. `auto` is `cuda` if torch has kernels for it, else the CPU, with a line where a GPU
    is too old. With `cpu` no GPU is asked for anything. Raises PipelineError for another name, and for `cuda` without a
    GPU that torch has kernels for.
    """
    requested = os.environ.get("DEVICE") or "auto"
    if requested not in DEVICES:
        raise PipelineError(f"DEVICE: found {printable(requested)}, expected {', '.join(DEVICES)}; set it to one")
    if requested == "cpu" or (requested == "auto" and not torch.cuda.is_available()):
        return torch.device("cpu")
    if not torch.cuda.is_available():
        built_for = f"CUDA {torch.version.cuda}" if torch.version.cuda else "CPUs alone"
        raise PipelineError(
            f"DEVICE is cuda: found no GPU for torch {torch.__version__}, which is built for {built_for}; expected "
            "one; update the driver, start the container with --gpus all, or set DEVICE to auto or cpu"
        )
    capability, architectures = torch.cuda.get_device_capability(), torch.cuda.get_arch_list()
    if has_kernels(capability, architectures):
        return torch.device("cuda")
    found, expected = "{}.{}".format(*capability), ", ".join(architectures)
    unfit = f"{torch.cuda.get_device_name()}: found compute capability {found}; this torch expects one of {expected}"
    fix = "for the GPU install a torch that was built for it"
    if requested == "cuda":
        raise PipelineError(f"DEVICE is cuda: {unfit}; {fix}, or set DEVICE to auto or cpu")
    print(f"{unfit}; the CPU computes; {fix}", file=sys.stderr)
    return torch.device("cpu")


def has_kernels(capability: tuple[int, int], built_for: Sequence[str]) -> bool:
    """Return whether a torch that was built for the architectures `built_for` has kernels for a GPU."""
    return any(_runs(arch, capability) for arch in built_for)


def _runs(arch: str, capability: tuple[int, int]) -> bool:
    """Return whether code for `arch` runs on a device: machine code by its generation, `compute_...` on newer ones."""
    kind, _, digits = arch.partition("_")
    version = int("".join(filter(str.isdigit, digits)) or 0)
    major, minor = divmod(version, 10)
    if kind == "compute":
        return (major, minor) <= capability
    return kind != "sm" or (major == capability[0] and minor <= capability[1])  # AMD's names have no generations


def has_bfloat16(device: torch.device) -> bool:
    """Return whether the hardware multiplies bfloat16 natively."""
    if device.type == "cuda":
        return torch.cuda.is_bf16_supported(including_emulation=False)
    return bool(torch.cpu.get_capabilities().get("avx512_bf16"))


def precision(device: torch.device) -> torch.dtype:
    """Return the type in which nets multiply: that of `setup_device`; for `auto` bfloat16 if native, else float32."""
    return _requested or (torch.bfloat16 if has_bfloat16(device) else torch.float32)


def precision_name(device: torch.device) -> str:
    """Return the name of `precision(device)`: a key of PRECISIONS."""
    return str(precision(device)).removeprefix("torch.")


def autocast(device: torch.device) -> AbstractContextManager:
    """Run convolutions and matrix products in `precision(device)`."""
    dtype = precision(device)
    # no cache: a net casts each weight once a step, and a CUDA graph must not hold a copy that is made outside of it
    return torch.autocast(device.type, dtype=dtype, enabled=dtype != torch.float32, cache_enabled=False)


def to_device(model: Net, device: torch.device) -> Net:
    """Move a net to `device`, its convolutions with channels last in memory, and return it."""
    return model.to(device, memory_format=torch.channels_last)  # type: ignore[call-overload]  # not in torch's stubs


def build_seeded(seed: int, build: Callable[[], Result]) -> Result:
    """Build a module with weights drawn from `seed`; torch draws initial weights from its global generator only.

    Threads take turns: one in the middle of another's draws would change both.
    """
    with _building:
        torch.manual_seed(seed)
        return build()


def make_generator(seed: int) -> torch.Generator:
    """Return a generator for the random order of batches, apart from the global one."""
    return torch.Generator().manual_seed(seed)


def map_seeds(work: Callable[[Item], Result], items: Sequence[Item], device: torch.device) -> list[Result]:
    """Return `work(item)` of every item, on a CPU as many at a time as slots; a failure or Ctrl-C ends them all."""
    if device.type != "cpu":
        return [work(item) for item in items]

    def work_in_slot(item: Item) -> tuple[Result, float]:
        with slot(raise_if_cancelled):
            start = thread_time()
            return work(item), thread_time() - start

    _cancelled.clear()
    with ThreadPoolExecutor(max_workers=min(len(items), count_slots())) as pool:
        try:
            futures = [pool.submit(work_in_slot, item) for item in items]
            wait(futures, return_when=FIRST_EXCEPTION)
        finally:
            _cancelled.set()  # those still running after a failure end at their next step
        failures = [failure for future in futures if (failure := future.exception())]
        if failures:
            raise next((each for each in failures if not isinstance(each, Cancelled)), failures[0])
        results, seconds = zip(*(future.result() for future in futures), strict=True)
    record_seconds(seconds)
    return list(results)


def raise_if_cancelled() -> None:
    """Raise Cancelled in the thread of a seed once another has failed; every training calls this at each step."""
    if threading.current_thread() is not threading.main_thread() and _cancelled.is_set():
        raise Cancelled


def compute_seconds(device: torch.device) -> float:
    """Return seconds of computing: of this thread on a CPU (seeds share the cores), of the wall clock on a GPU.

    On a GPU that several stages share, the clock also counts their work: the seconds are not-a-number, and so is every
    sum of them.
    """
    if device.type != "cuda":
        return thread_time()
    if SHARED_GPU in os.environ:
        return nan
    torch.cuda.synchronize(device)
    return perf_counter()


def device_name(device: torch.device) -> str:
    """Return the GPU's name, or the processor's kind and the number of cores."""
    if device.type == "cuda":
        return torch.cuda.get_device_name(device)
    return f"{platform.machine()}, {os.cpu_count()} cores"

"""Checks of torch and the GPUs: build, driver, kernels for each GPU, the device and precision of a run.

Each check imports torch when it runs, so that an absent torch is a finding as well.
"""

import ctypes
import io
import os
import re
from collections.abc import Callable
from contextlib import redirect_stderr
from functools import partial
from importlib.util import find_spec
from pathlib import Path

from pipeline.tools.doctor.finding import Finding, gib, note, ok, problem

DRIVER = Path("/proc/driver/nvidia/version")  # the kernel's part of the driver, which containers see too
GET_TORCH = "install the torch of requirements.txt from the index that PyTorch's install page names for this driver"


def check_torch() -> Finding:
    """Name the version of torch and what it was built for."""
    import torch

    return ok(f"{torch.__version__}, built for {_built_for() or 'the CPU alone'}")


def check_cuda() -> Finding:
    """Ask whether torch reaches a GPU through the driver of this machine."""
    import torch

    if _is_cpu_requested():
        return ok("DEVICE is cpu, so that no GPU is asked for anything")
    built, release, runs = _built_for(), _read_driver_release(), _ask_driver_for_cuda()
    driver = f"driver {release or 'of unknown version'}" + (f" for CUDA up to {runs}" if runs else "")
    if torch.cuda.is_available():
        return ok(f"{driver}; GPUs: {torch.cuda.device_count()}")
    if not (release or runs):
        return ok("no driver of a GPU here; the CPU computes")
    if not runs:
        return note(
            f"{driver}, but no libcuda.so.1; the CPU computes",
            "for the GPU install the driver's libraries; in a container: `docker run --gpus all`",
        )
    if os.environ.get("CUDA_VISIBLE_DEVICES") in ("", "-1"):
        return note(f"{driver}; CUDA_VISIBLE_DEVICES hides the GPUs", "for a GPU unset CUDA_VISIBLE_DEVICES")
    if not built:
        return note(f"{driver}, but this torch was built for the CPU alone", f"for the GPU {GET_TORCH}")
    return problem(
        f"{driver}, but this torch was built for {built} and reaches no GPU ({_why_none()}); the CPU computes",
        f"update the driver, or {GET_TORCH}",
    )


def gpu_checks() -> dict[str, Callable[[], Finding]]:
    """Return name -> check, one for each GPU that torch reaches; none if the CPU was requested."""
    if _is_cpu_requested() or not find_spec("torch"):
        return {}
    import torch

    return {f"gpu {index}": partial(_check_gpu, index) for index in range(torch.cuda.device_count())}


def _check_gpu(index: int) -> Finding:
    """Compare the compute capability of a GPU with the list that torch has kernels for."""
    import torch

    from pipeline.core.device import has_kernels

    name, capability = torch.cuda.get_device_name(index), torch.cuda.get_device_capability(index)
    found, built_for = "{}, compute capability {}.{}".format(name, *capability), torch.cuda.get_arch_list()
    if not has_kernels(capability, built_for):
        return problem(
            f"{found}; this torch expects one of {', '.join(built_for)}; the CPU computes",
            "install a torch that was built for it, or hide the GPU by CUDA_VISIBLE_DEVICES",
        )
    free, total = torch.cuda.mem_get_info(index)
    return ok(f"{found}, {gib(free)} of {gib(total)} free")


def check_device() -> Finding:
    """Choose the device and the precision as a stage does, by params.yaml."""
    from pipeline.config.params import load_params
    from pipeline.core.device import precision_name, setup_device

    with redirect_stderr(io.StringIO()) as remarks:
        device = setup_device(load_params().precision)
    found = f"{device.type} in {precision_name(device)}"
    if remark := remarks.getvalue().strip():
        return note(f"{found}; {remark}", "set precision to auto in params.yaml, or see the GPU's line")
    return ok(found)


def _is_cpu_requested() -> bool:
    """Return whether the variable DEVICE, which `find_device` reads, asks for the CPU."""
    return os.environ.get("DEVICE") == "cpu"


def _built_for() -> str | None:
    """Return what torch was built for, such as `CUDA 13.0`; None for the CPU alone."""
    from torch import version

    return f"CUDA {version.cuda}" if version.cuda else f"ROCm {version.hip}" if version.hip else None


def _read_driver_release() -> str | None:
    """Return the version of NVIDIA's driver in the kernel, such as `580.65.06`; None without one."""
    try:
        release = re.search(r"\b\d{3}\.[\d.]+", DRIVER.read_text(encoding="utf-8"))
    except OSError:
        return None
    return release[0] if release else None


def _ask_driver_for_cuda() -> str | None:
    """Return the newest CUDA that the driver's library runs, such as `13.0`; None without the library."""
    try:
        library = ctypes.CDLL("libcuda.so.1")
    except OSError:
        return None
    number = ctypes.c_int()
    library.cuDriverGetVersion(ctypes.byref(number))  # 1000 times the major number and 10 times the minor one
    return "{}.{}".format(*divmod(number.value // 10, 100))


def _why_none() -> str:
    """Return torch's reason why it reaches no GPU, its first sentence."""
    import torch

    try:
        torch.cuda.init()
    except (RuntimeError, AssertionError) as error:
        return re.split(r"\.\s|\n", str(error))[0]
    return "no reason given"

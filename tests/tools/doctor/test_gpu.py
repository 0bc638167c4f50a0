"""torch, driver and GPUs; no test needs one, each cause is faked."""

import ctypes
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch

from pipeline.core.device import setup_device
from pipeline.tools.doctor import gpu
from pipeline.tools.doctor.finding import Finding
from pipeline.tools.doctor.gpu import check_cuda, check_device, check_torch, gpu_checks
from support.presets import preset_params

OPEN_KERNEL = "NVRM version: NVIDIA UNIX Open Kernel Module for x86_64  535.104.05  Release Build\nGCC version: 12\n"
Machine = Callable[..., None]


@pytest.fixture
def machine(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Machine:
    """Return a function that fakes a machine: its driver, what torch was built for, what torch says of GPUs."""
    real_load = ctypes.CDLL

    def fake(release: str = "", runs: int = 0, built: str | None = "13.0", reached: int = 0, reason: str = "") -> None:
        def load(name: str | None) -> object:
            if name != "libcuda.so.1":
                return real_load(name)
            if not runs:
                raise OSError(f"{name}: cannot open shared object file")
            return SimpleNamespace(cuDriverGetVersion=lambda number: setattr(number._obj, "value", runs))

        def start() -> None:
            raise RuntimeError(reason)

        for name in ("CUDA_VISIBLE_DEVICES", "DEVICE"):
            monkeypatch.delenv(name, raising=False)
        monkeypatch.setattr(gpu, "DRIVER", tmp_path / "version")
        if release:
            (tmp_path / "version").write_text(release)
        monkeypatch.setattr(ctypes, "CDLL", load)
        monkeypatch.setattr(torch.version, "cuda", built)
        monkeypatch.setattr(torch.cuda, "is_available", lambda: reached > 0)
        monkeypatch.setattr(torch.cuda, "device_count", lambda: reached)
        monkeypatch.setattr(torch.cuda, "init", start)

    return fake


def pretend_gpus(monkeypatch: pytest.MonkeyPatch, **capabilities: tuple[int, int]) -> None:
    """Fake what torch says of GPUs, by name."""
    names = list(capabilities)
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda index=0: names[index])
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda index=0: capabilities[names[index]])
    monkeypatch.setattr(torch.cuda, "get_arch_list", lambda: ["sm_75", "sm_80", "sm_90"])
    monkeypatch.setattr(torch.cuda, "mem_get_info", lambda index: (30 * 2**30, 40 * 2**30))


def test_torch_names_what_it_was_built_for(machine: Machine) -> None:
    machine(built="13.0")
    assert check_torch() == Finding("ok", f"{torch.__version__}, built for CUDA 13.0")
    machine(built=None)
    assert check_torch() == Finding("ok", f"{torch.__version__}, built for the CPU alone")


def test_no_driver_is_fine(machine: Machine) -> None:
    machine()
    assert check_cuda() == Finding("ok", "no driver of a GPU here; the CPU computes")


def test_a_driver_that_is_too_old(machine: Machine) -> None:
    reason = "The NVIDIA driver on your system is too old (found version 12020). Please update your GPU driver"
    machine(OPEN_KERNEL, 12020, reason=reason)
    status, found, fix = check_cuda()
    assert status == "problem" and fix.startswith("update the driver, or install the torch of requirements.txt")
    assert found == (
        "driver 535.104.05 for CUDA up to 12.2, but this torch was built for CUDA 13.0 and reaches no GPU "
        "(The NVIDIA driver on your system is too old (found version 12020)); the CPU computes"
    )


def test_a_container_that_does_not_see_the_gpus_of_its_host(machine: Machine) -> None:
    machine(OPEN_KERNEL)
    status, found, fix = check_cuda()
    assert status == "note" and found.startswith("driver 535.104.05, but no libcuda.so.1") and "--gpus all" in fix


def test_gpus_that_a_variable_hides(machine: Machine, monkeypatch: pytest.MonkeyPatch) -> None:
    machine(OPEN_KERNEL, 13000, reason="No CUDA GPUs are available")
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    status, found, fix = check_cuda()
    assert status == "note" and "hides the GPUs" in found and fix == "for a GPU unset CUDA_VISIBLE_DEVICES"


def test_a_driver_beside_a_torch_for_the_cpu(machine: Machine) -> None:
    machine(OPEN_KERNEL, 13000, built=None)
    status, found, fix = check_cuda()
    assert status == "note" and "for CUDA up to 13.0, but this torch was built for the CPU alone" in found
    assert fix.startswith("for the GPU install the torch")


def test_a_cpu_that_was_requested(machine: Machine, monkeypatch: pytest.MonkeyPatch) -> None:
    machine(OPEN_KERNEL, 12020, reached=1)
    monkeypatch.setenv("DEVICE", "cpu")
    assert check_cuda().status == "ok" and gpu_checks() == {}


def test_gpus_that_compute(machine: Machine, monkeypatch: pytest.MonkeyPatch) -> None:
    machine(OPEN_KERNEL, 13010, reached=2)
    assert check_cuda() == Finding("ok", "driver 535.104.05 for CUDA up to 13.1; GPUs: 2")
    pretend_gpus(monkeypatch, H100=(9, 0), A10=(8, 6))
    findings = {name: check() for name, check in gpu_checks().items()}
    assert findings == {
        "gpu 0": Finding("ok", "H100, compute capability 9.0, 30.0 GiB of 40.0 GiB free"),
        "gpu 1": Finding("ok", "A10, compute capability 8.6, 30.0 GiB of 40.0 GiB free"),
    }


def test_a_gpu_that_torch_has_no_kernels_for(machine: Machine, monkeypatch: pytest.MonkeyPatch) -> None:
    machine(OPEN_KERNEL, 13000, reached=1)
    pretend_gpus(monkeypatch, P100=(6, 0))
    status, found, fix = gpu_checks()["gpu 0"]()
    assert status == "problem" and "built for it" in fix
    assert found == ("P100, compute capability 6.0; this torch expects one of sm_75, sm_80, sm_90; the CPU computes")


@pytest.fixture
def parameters(monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    """Work in a folder of parameters that ask for bfloat16, and give the device of the other tests back."""
    monkeypatch.chdir(tmp_path)
    text = preset_params("smoke")
    (tmp_path / "params.yaml").write_text(text.replace("precision: auto", "precision: bfloat16"))
    yield
    setup_device()


def test_the_device_of_a_run(parameters: None, machine: Machine, monkeypatch: pytest.MonkeyPatch) -> None:
    machine()
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: {"avx512_bf16": True})
    assert check_device() == Finding("ok", "cpu in bfloat16")


def test_a_processor_without_bfloat16(parameters: None, machine: Machine, monkeypatch: pytest.MonkeyPatch) -> None:
    machine()
    monkeypatch.setattr(torch.cpu, "get_capabilities", dict)
    status, found, fix = check_device()
    assert status == "note" and "float32 would be faster" in found and "precision to auto" in fix

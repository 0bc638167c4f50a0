"""The device by the variable DEVICE, and by what torch has kernels for."""

import pytest
import torch

from pipeline.core.device import find_device, setup_device
from pipeline.core.errors import PipelineError

CPU = torch.device("cpu")


def pretend_gpu(monkeypatch: pytest.MonkeyPatch, capability: tuple[int, int], built_for: list[str]) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda: capability)
    monkeypatch.setattr(torch.cuda, "get_arch_list", lambda: built_for)
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda: "Tesla P100")


@pytest.mark.parametrize(
    "capability, built_for",
    [
        ((7, 5), ["sm_75", "sm_80"]),
        ((8, 9), ["sm_75", "sm_86"]),  # a later member of a generation runs the code of an earlier one
        ((9, 0), ["sm_90a"]),
        ((12, 0), ["sm_90", "sm_120"]),
        ((12, 1), ["sm_80", "compute_90"]),  # which the driver translates
        ((9, 0), ["gfx90a"]),  # of AMD
    ],
)
def test_a_gpu_that_torch_was_built_for_computes(monkeypatch, capsys, capability, built_for) -> None:
    pretend_gpu(monkeypatch, capability, built_for)
    assert find_device() == torch.device("cuda") and capsys.readouterr().err == ""


@pytest.mark.parametrize(
    "capability, built_for",
    [((6, 0), ["sm_75", "sm_80", "compute_75"]), ((8, 0), ["sm_75", "sm_86"]), ((10, 0), ["sm_90", "sm_120"])],
)
def test_a_gpu_without_kernels_leaves_the_work_to_the_cpu(monkeypatch, capsys, capability, built_for) -> None:
    pretend_gpu(monkeypatch, capability, built_for)
    assert find_device() == CPU
    (line,) = capsys.readouterr().err.splitlines()
    assert "Tesla P100: found compute capability {}.{};".format(*capability) in line
    assert ", ".join(built_for) in line and "install a torch" in line


def test_without_a_gpu_nothing_is_printed(monkeypatch, capsys) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert find_device() == CPU and capsys.readouterr().err == ""


def refuse_to_answer() -> bool:
    pytest.fail("a GPU was asked for something")


def test_the_cpu_is_given_without_asking_a_gpu(monkeypatch) -> None:
    monkeypatch.setenv("DEVICE", "cpu")
    for name in ("is_available", "get_device_capability", "device_count"):
        monkeypatch.setattr(torch.cuda, name, refuse_to_answer)
    assert setup_device() == CPU


def test_cuda_is_cuda(monkeypatch) -> None:
    monkeypatch.setenv("DEVICE", "cuda")
    pretend_gpu(monkeypatch, (9, 0), ["sm_90"])
    assert find_device() == torch.device("cuda")


@pytest.mark.parametrize(("cuda", "built_for"), [("13.0", "built for CUDA 13.0"), (None, "built for CPUs alone")])
def test_cuda_without_a_gpu_is_an_error(monkeypatch, cuda, built_for) -> None:
    monkeypatch.setenv("DEVICE", "cuda")
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(torch.version, "cuda", cuda)
    with pytest.raises(PipelineError, match=f"DEVICE is cuda: found no GPU .*{built_for}; .*--gpus all.* auto or cpu$"):
        setup_device()


def test_cuda_on_a_gpu_without_kernels_is_an_error(monkeypatch, capsys) -> None:
    monkeypatch.setenv("DEVICE", "cuda")
    pretend_gpu(monkeypatch, (6, 0), ["sm_75"])
    with pytest.raises(PipelineError, match="DEVICE is cuda: Tesla P100: found compute capability 6.0; .*sm_75"):
        find_device()
    assert capsys.readouterr().err == ""


@pytest.mark.parametrize("value", ["auto", ""])
def test_auto_is_a_gpu_if_there_is_one(monkeypatch, value) -> None:
    monkeypatch.setenv("DEVICE", value)
    pretend_gpu(monkeypatch, (9, 0), ["sm_90"])
    assert find_device() == torch.device("cuda")
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert find_device() == CPU


def test_another_device_is_refused_by_name(monkeypatch) -> None:
    monkeypatch.setenv("DEVICE", "gpu\n0")
    with pytest.raises(PipelineError, match=r"DEVICE: found gpu\\n0, expected auto, cpu, cuda; set it to one$"):
        find_device()

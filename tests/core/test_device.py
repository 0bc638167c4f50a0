import signal
import threading
from math import isnan
from pathlib import Path
from time import monotonic, sleep, thread_time
from typing import get_args

import pytest
import torch
from torch import nn

from pipeline.config.types import PrecisionName
from pipeline.core.device import (
    PRECISIONS,
    Cancelled,
    autocast,
    build_seeded,
    compute_seconds,
    make_generator,
    map_seeds,
    precision_name,
    raise_if_cancelled,
    setup_device,
)
from pipeline.core.errors import PipelineError
from pipeline.core.memory import peak_memory, reset_peak_memory
from pipeline.core.slots import make_slots

CPU = torch.device("cpu")


def until_stopped() -> None:
    """A training that would go on for ten seconds."""
    end = monotonic() + 10
    while monotonic() < end:
        raise_if_cancelled()
        sleep(0.001)
    pytest.fail("was not stopped")


def test_results_come_in_the_order_of_the_items(five_slots: None) -> None:
    turns = {"b": threading.Event(), "c": threading.Event(), "a": threading.Event()}
    turns["b"].set()
    following = {"b": "c", "c": "a", "a": "b"}

    def work(item: str) -> str:  # ends in the order b, c, a
        assert turns[item].wait(10)
        turns[following[item]].set()
        return item.upper()

    assert map_seeds(work, ["a", "b", "c"], CPU) == ["A", "B", "C"]


@pytest.fixture
def five_slots(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let five items run at a time, on however few cores."""
    make_slots(tmp_path / "slots", 5)
    monkeypatch.setenv("PIPELINE_SLOTS", str(tmp_path / "slots"))


def test_items_run_side_by_side_on_a_cpu(five_slots: None) -> None:
    barrier = threading.Barrier(5)  # passed only if all five are there at once
    assert len(map_seeds(lambda _: barrier.wait(10), range(5), CPU)) == 5


def test_first_weights_do_not_depend_on_who_else_is_building() -> None:
    def weights(seed: int) -> float:
        return build_seeded(seed, lambda: nn.Linear(300, 300).weight.sum().item())

    alone = [weights(seed) for seed in range(4)]
    assert all(map_seeds(weights, range(4), CPU) == alone for _ in range(10))


def test_items_run_one_after_another_elsewhere() -> None:
    def work(item: int) -> tuple[int, bool]:
        return item, threading.current_thread() is threading.main_thread()

    assert map_seeds(work, [1, 2], torch.device("meta")) == [(1, True), (2, True)]


@pytest.mark.parametrize("failing", [0, 2])
def test_the_first_failure_wins_and_ends_its_siblings(failing: int, five_slots: None) -> None:
    barrier, ended = threading.Barrier(3), []

    def work(item: int) -> None:
        barrier.wait(10)
        if item == failing:
            raise ValueError(f"item {item}")
        try:
            until_stopped()
        except Cancelled:
            ended.append(item)
            raise

    with pytest.raises(ValueError, match=f"item {failing}"):
        map_seeds(work, [0, 1, 2], CPU)
    assert sorted(ended) == [item for item in (0, 1, 2) if item != failing]


@pytest.fixture
def heeding_ctrl_c():
    """A shell starts background jobs with Ctrl-C ignored, and tests may run in one."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.mark.parametrize("delay", [0, 0.1])  # while the work is handed out, while it is waited for
def test_ctrl_c_ends_all(delay: float, heeding_ctrl_c: None) -> None:
    def work(item: int) -> None:
        sleep(delay)
        if item == 0:
            signal.pthread_kill(threading.main_thread().ident, signal.SIGINT)
        until_stopped()

    start = monotonic()
    with pytest.raises(KeyboardInterrupt):
        map_seeds(work, [0, 1, 2], CPU)
    assert monotonic() - start < 5


def test_a_failure_does_not_stop_the_next_run() -> None:
    with pytest.raises(ZeroDivisionError):
        map_seeds(lambda item: 1 // item, [0, 1], CPU)
    raise_if_cancelled()  # the main thread is never cancelled
    assert map_seeds(lambda item: raise_if_cancelled() or item, [0, 1], CPU) == [0, 1]


def test_a_seed_repeats_its_weights() -> None:
    first, again, other = (build_seeded(seed, lambda: nn.Linear(3, 2)) for seed in (4, 4, 5))
    assert torch.equal(first.weight, again.weight) and torch.equal(first.bias, again.bias)
    assert not torch.equal(first.weight, other.weight)


def test_a_generator_repeats_and_leaves_the_global_one_alone() -> None:
    before = torch.get_rng_state()
    first, again, other = (torch.randperm(100, generator=make_generator(seed)) for seed in (1, 1, 2))
    assert torch.equal(first, again) and not torch.equal(first, other)
    assert torch.equal(torch.get_rng_state(), before)


def test_the_clock_counts_this_threads_computing_alone() -> None:
    stop = threading.Event()

    def busy() -> None:
        while not stop.is_set():
            sum(range(1000))

    other = threading.Thread(target=busy)
    start = compute_seconds(CPU)
    other.start()
    sleep(0.2)
    stop.set()
    other.join()
    assert compute_seconds(CPU) - start < 0.1
    start, until = compute_seconds(CPU), thread_time() + 0.05
    while thread_time() < until:
        pass
    assert compute_seconds(CPU) - start >= 0.05


def test_a_shared_gpu_has_no_clock_and_a_cpu_keeps_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PIPELINE_SHARED_GPU", "1")
    assert isnan(compute_seconds(torch.device("cuda"))) and compute_seconds(CPU) > 0


@pytest.fixture
def restored():
    yield
    setup_device()


# 1 + 2^-9 needs 10 bits of significand, and bfloat16 has 8: it becomes 1
@pytest.mark.parametrize(("requested", "product"), [("float32", 1 + 2**-9), ("bfloat16", 1)])
def test_matrix_products_and_convolutions_round_to_the_requested_precision(requested, product, restored) -> None:
    setup_device(requested)
    assert precision_name(CPU) == requested
    value = torch.full((1, 1, 1, 1), 1 + 2**-9)
    with autocast(CPU):
        results = [value.flatten(2)[0] @ torch.ones(1, 1), nn.functional.conv2d(value, torch.ones(1, 1, 1, 1))]
    assert [(str(each.dtype), each.item()) for each in results] == 2 * [(f"torch.{requested}", product)]


@pytest.mark.parametrize(("native", "chosen"), [(True, "bfloat16"), (False, "float32")])
def test_auto_is_what_the_processor_multiplies_natively(native, chosen, restored, monkeypatch) -> None:
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    monkeypatch.setattr("torch.cpu.get_capabilities", lambda: {"avx512_bf16": native})
    setup_device("float32")
    setup_device("auto")
    assert precision_name(CPU) == chosen
    with autocast(CPU):
        assert str((torch.ones(2, 2) @ torch.ones(2, 2)).dtype) == f"torch.{chosen}"


def test_bfloat16_on_a_processor_without_it_is_slow_and_says_so(restored, monkeypatch, capsys) -> None:
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    monkeypatch.setattr("torch.cpu.get_capabilities", dict)
    setup_device("float32")
    assert capsys.readouterr().err == ""
    setup_device("bfloat16")
    assert precision_name(CPU) == "bfloat16" and capsys.readouterr().err.count("\n") == 1


def test_bfloat16_on_a_gpu_without_it_is_refused(restored, monkeypatch) -> None:
    with monkeypatch.context() as old:
        old.setattr("torch.cuda.is_available", lambda: True)
        old.setattr("torch.cuda.is_bf16_supported", lambda including_emulation: including_emulation)
        old.setattr("torch.cuda.get_device_name", lambda device: "Tesla T4")
        old.setattr("torch.cuda.get_device_capability", lambda: (7, 5))
        old.setattr("torch.cuda.get_arch_list", lambda: ["sm_75", "sm_90"])
        with pytest.raises(PipelineError, match="bfloat16, and Tesla T4 does not multiply it.*float32 or auto"):
            setup_device("bfloat16")
        assert setup_device("auto").type == "cuda" and precision_name(torch.device("cuda")) == "float32"


def test_float32_is_that_of_ieee_on_every_device(restored) -> None:
    setup_device("float32")  # TF32 has 11 bits, and cuDNN would use it unasked
    backends = torch.backends.cuda.matmul, torch.backends.cudnn.conv, torch.backends.mkldnn.matmul
    assert {each.fp32_precision for each in backends} == {"ieee"}


def test_precisions_are_those_of_the_parameters() -> None:
    assert get_args(PrecisionName) == ("auto", *PRECISIONS)


@pytest.mark.alone  # of a process in which no training has changed how memory is given back
def test_a_peak_is_measured_and_can_start_anew() -> None:
    reset_peak_memory(CPU)
    before = peak_memory(CPU)
    block = torch.ones(100 * 2**18)  # 100 MB
    high = peak_memory(CPU)
    del block
    assert high - before == pytest.approx(100, abs=10) and peak_memory(CPU) == pytest.approx(high, abs=10)
    reset_peak_memory(CPU)
    assert peak_memory(CPU) < high - 50


def test_a_system_without_proc_still_has_a_peak(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pipeline.core.memory.Path", lambda _: Path("/no/such/file"))
    reset_peak_memory(CPU)
    assert peak_memory(CPU) > 50

"""Stages on GPUs: which GPU each gets, how many share one, and what is refused. The GPUs are faked, the stages not."""

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from unittest.mock import Mock

import pytest

from pipeline.core.errors import PipelineError
from pipeline.jobs.cluster.launcher import RayLauncher
from pipeline.jobs.cluster.numerics import Numerics
from pipeline.jobs.driver import repro
from pipeline.jobs.gpus import Gpus, find_gpus
from pipeline.jobs.plan import open_plan
from support.commands import ENVIRONMENT, ROOT

Log = Callable[[], list[str]]
ON_A_GPU = 'echo "$CUDA_VISIBLE_DEVICES/$DEVICE/$PIPELINE_SHARED_GPU" >> log; '
# fails if anything at import asks CUDA: a process that has started CUDA cannot fork stages for other GPUs
PRELOAD = """
import torch

def refuse(*_, **__):
    raise SystemExit("CUDA was asked before the fork")

for name in ("is_available", "device_count", "init", "_lazy_init"):
    setattr(torch.cuda, name, refuse)
from pipeline.jobs import forkserver

forkserver.preload()
print("quiet")
"""


@pytest.fixture
def make_gpus(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Return a function that fakes GPUs of given compute capabilities, visible by a given variable."""

    def fake(*capabilities: tuple[int, int], visible: str | None = None) -> None:
        monkeypatch.setattr("torch.cuda.is_available", lambda: True)
        monkeypatch.setattr("torch.cuda.device_count", lambda: len(capabilities))
        monkeypatch.setattr("torch.cuda.get_device_capability", lambda index=0: capabilities[index])
        monkeypatch.setattr("torch.cuda.get_arch_list", lambda: ["sm_80", "sm_90"])
        monkeypatch.delenv("DEVICE", raising=False)
        monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
        if visible:
            monkeypatch.setenv("CUDA_VISIBLE_DEVICES", visible)

    return fake


@pytest.mark.slow
def test_a_gpu_runs_one_stage_at_a_time(project: Path, log: Log, make_gpus: Callable) -> None:
    make_gpus((9, 0))
    (project / "wide.sh").write_text("echo + >> log; cat first > wide-$1; sleep 0.3; echo - >> log\n")
    repro(["last"], jobs=4)
    assert log() == ["first", *"+-+-+-"]


@pytest.mark.slow
def test_each_stage_has_a_gpu_of_its_own(project: Path, log: Log, make_gpus: Callable) -> None:
    make_gpus((9, 0), (9, 0), (9, 0), visible="3,GPU-abc, 5")
    all_started = "timeout 60 sh -c 'until [ $(wc -l < log) -ge 3 ]; do sleep 0.01; done'"
    (project / "wide.sh").write_text(f"{ON_A_GPU}{all_started} && cat first > wide-$1\n")
    repro(["last"], jobs=4, gpus="2,1")
    first, *wide = log()
    assert first == "first" and set(wide[:2]) == {"5/cuda/", "GPU-abc/cuda/"} and wide[2] in wide[:2]


@pytest.mark.slow
def test_stages_that_share_a_gpu_are_told_so(project: Path, log: Log, make_gpus: Callable) -> None:
    make_gpus((9, 0))
    all_started = "timeout 60 sh -c 'until [ $(wc -l < log) = 4 ]; do sleep 0.01; done'"
    (project / "wide.sh").write_text(f"{ON_A_GPU}{all_started} && cat first > wide-$1\n")
    repro(["last"], jobs=4, per_gpu=3)
    assert log() == ["first", *["0/cuda/1"] * 3]


def test_a_stage_gets_the_gpu_that_has_most_free() -> None:
    gpus = Gpus(["0", "1"], per_gpu=2)
    assert [gpus.take(stage)["CUDA_VISIBLE_DEVICES"] for stage in "abc"] == ["0", "1", "0"]
    assert gpus.bound(8) == 4 and gpus.bound(3) == 3
    gpus.free("b")
    assert [gpus.take(stage)["CUDA_VISIBLE_DEVICES"] for stage in "de"] == ["1", "1"]
    gpus.free("a stage of the cluster")
    assert Gpus([], 1).bound(8) == 8 and Gpus([], 1).take("a") == {}


def test_by_default_the_first_and_all_like_it_are_taken(make_gpus: Callable) -> None:
    make_gpus((9, 0), (8, 0), (9, 0))
    assert find_gpus(None, 1) == ["0", "2"] and find_gpus("1", 1) == ["1"]
    make_gpus((9, 0), visible="MIG-a,MIG-b")  # a process sees one MIG device, whatever is named
    assert find_gpus(None, 4) == ["MIG-a"]


@pytest.mark.parametrize("requested", ["2", "0,0", "0,", "", "-1", "0 1", "GPU-abc"])
def test_other_numbers_are_refused(make_gpus: Callable, requested: str) -> None:
    make_gpus((9, 0), (9, 0))
    expected = "found 2 GPUs by CUDA_VISIBLE_DEVICES; expected some of 0, 1, each once, with commas between them; "
    with pytest.raises(PipelineError, match=f"^GPUS={requested}: {expected}"):
        find_gpus(requested, 1)


def test_gpus_of_unlike_capability_are_refused(make_gpus: Callable) -> None:
    make_gpus((9, 0), (8, 0))
    with pytest.raises(PipelineError, match="^GPUS=0,1: found compute capabilities 8.0 and 9.0; expected equal ones"):
        find_gpus("0,1", 1)


def test_gpus_where_the_cpu_computes_are_refused(make_gpus: Callable, monkeypatch: pytest.MonkeyPatch) -> None:
    make_gpus((9, 0))
    monkeypatch.setenv("DEVICE", "cpu")
    assert find_gpus(None, 1) == []
    with pytest.raises(PipelineError, match=r"^GPUS=0: found no GPU to compute on \(DEVICE is cpu\); expected one; "):
        find_gpus("0", 1)
    monkeypatch.delenv("DEVICE")
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    with pytest.raises(PipelineError, match=r"^PER_GPU=4: found no GPU to compute on \(DEVICE is auto\); "):
        find_gpus(None, 4)


@pytest.mark.slow
def test_on_a_cluster_a_training_gets_a_part_of_a_gpu(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    task = Mock()
    monkeypatch.setattr("ray.nodes", lambda: [{"Alive": True, "Resources": {"CPU": 16.0, "GPU": 2.0}}])
    monkeypatch.setattr("ray.remote", lambda _: task)
    for name in ("put", "cancel", "shutdown"):
        monkeypatch.setattr(f"ray.{name}", Mock())
    numerics = Numerics("3.11", "2.13", "bfloat16", "a GPU", gpu=True)
    monkeypatch.setattr("pipeline.jobs.cluster.launcher.read_numerics", lambda _: numerics)
    monkeypatch.setattr("pipeline.jobs.cluster.launcher.connect", lambda *_: None)
    with open_plan(["first"]) as plan, RayLauncher("auto", plan, per_gpu=4) as nodes:
        assert nodes.count_trainings() == 8
        claims = [nodes.claim(name, seeds=10, waiting=1) for name in "abcdefg"]
        assert all(claim and claim.size == 1 for claim in [*claims, nodes.claim("first", seeds=10, waiting=1)])
        assert nodes.claim("another", seeds=10, waiting=1) is None
        nodes.start("first", plan.begin(plan.stages[-1], {}), project / "log")
    options, (job,) = task.options.call_args.kwargs, task.options().remote.call_args.args
    assert options["num_gpus"] == 0.25 and options["num_cpus"] == 1 and job.variables["PIPELINE_SHARED_GPU"] == "1"


@pytest.mark.slow
def test_the_process_that_forks_stages_leaves_cuda_alone() -> None:
    done = subprocess.run([sys.executable, "-c", PRELOAD], cwd=ROOT, env=ENVIRONMENT, capture_output=True, text=True)
    assert done.stdout == "quiet\n", done.stderr

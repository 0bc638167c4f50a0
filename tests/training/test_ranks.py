"""Data-parallel CILP: the ranks of torchrun take the steps of one process, and none goes on alone."""

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch

from pipeline.core.errors import PipelineError
from pipeline.training.loop import fit
from pipeline.training.ranks import follow, join_ranks
from support.commands import ENVIRONMENT, ROOT
from support.rank_training import CPU, NORMS, WORLDS

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def results(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Run all cases of support/rank_training.py, whose processes import torch once."""
    folder = tmp_path_factory.mktemp("ranks")
    environment = ENVIRONMENT | {"PYTHONPATH": f"{ROOT / 'tests'}:{ROOT}", "DEVICE": "cpu"}
    subprocess.run([sys.executable, "-m", "support.rank_training", str(folder)], env=environment, check=True)
    return folder


def read(results: Path, case: str, rank: int = 0) -> dict[Any, Any]:
    return torch.load(results / case / f"rank{rank}.pt", weights_only=True)


@pytest.mark.parametrize("norm", NORMS)
@pytest.mark.parametrize("world", WORLDS)
def test_ranks_have_gradients_loss_and_statistics_of_one_process(results: Path, world: int, norm: str) -> None:
    """Three steps on 10, 10 and 2 pairs: three ranks have slices of 4, 3 and 3, and of 1, 1 and 0 pairs."""
    plain = read(results, f"plain-{norm}")
    for rank in range(world):
        found = read(results, f"{norm}-{world}", rank)
        torch.testing.assert_close(found["gradients"], plain["gradients"], rtol=0, atol=1e-6)
        assert found["loss"] == pytest.approx(plain["loss"], abs=1e-6)
        assert list(found["model"]) == list(plain["model"])
        for name, value in plain["model"].items():
            torch.testing.assert_close(found["model"][name], value, rtol=1e-6, atol=1e-6, msg=name)
    assert plain["gradients"].shape[0] == 3 and plain["gradients"].abs().amax(dim=1).min() > 0.01


def test_ranks_go_on_from_the_state_of_rank_0_to_equal_bits(results: Path) -> None:
    whole, resumed = read(results, "whole"), read(results, "resumed")
    assert list(whole) == [3, 4] and not whole[3]["log_logit_scale"].equal(whole[4]["log_logit_scale"])
    for seed, model in whole.items():
        for name, value in model.items():
            assert resumed[seed][name].equal(value), name
    lines = (results / "resumed" / "error0").read_text().splitlines()
    assert len(lines) == 2 and lines[0].endswith("seed3.pt: the training goes on after epoch 2")
    assert (results / "resumed" / "error1").read_text() == ""


def test_a_lost_rank_ends_the_others(results: Path) -> None:
    ending, error = read(results, "killed"), (results / "killed" / "error0").read_text()
    assert ending["code"] == 1 and ending["seconds"] < 30
    assert error.startswith("error: rank 0 of 2: found another rank lost (") and error.count("\n") == 1
    assert "start the command again" in error


def test_unlike_ranks_are_refused(results: Path) -> None:
    for rank in (0, 1):
        error = (results / "unlike" / f"error{rank}").read_text()
        assert error.startswith(f"error: rank {rank} of 2: found ranks of unlike torch, precision, params.yaml")


def test_a_rank_needs_a_gpu_of_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in {"TORCHELASTIC_RUN_ID": "1", "RANK": "6", "LOCAL_RANK": "2", "LOCAL_WORLD_SIZE": "3"}.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    with pytest.raises(PipelineError, match="rank 6: found 2 GPUs .* its 3 ranks; .* --nproc-per-node=2"):
        with join_ranks(torch.device("cuda")):
            pass


def test_without_torchrun_nothing_is_shared(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("TORCHELASTIC_RUN_ID", raising=False)
    with join_ranks(CPU) as trainer:
        assert trainer is fit and not torch.distributed.is_initialized()
        assert not follow({}, None, 1, CPU)

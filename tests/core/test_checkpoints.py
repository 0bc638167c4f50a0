"""Weights as files: equal bytes for equal weights, nothing unpickled, and refusals that name the file."""

import pickle
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from pipeline.core.checkpoints import load_checkpoint, restore, save_checkpoint, save_checkpoints
from pipeline.core.errors import PipelineError
from pipeline.core.runs import checkpoint_path
from pipeline.version import __version__
from support.bombs import Bomb

WEIGHTS = {"b.weight": torch.arange(6.0).reshape(2, 3), "a.bias": torch.tensor([1, 2])}
ABOUT = {"kind": "fusion", "net": {"widths": [4, 8], "downsample": "maxpool"}}


def test_checkpoint_round_trip(tmp_path: Path) -> None:
    save_checkpoint(tmp_path / "a", WEIGHTS, ABOUT)
    weights, about = load_checkpoint(tmp_path / "a")
    assert about == ABOUT | {"version": __version__} and weights.keys() == WEIGHTS.keys()
    assert all(torch.equal(weights[name], tensor) for name, tensor in WEIGHTS.items())


def test_equal_weights_give_equal_bytes(tmp_path: Path) -> None:
    channels_last = torch.rand(4, 3, 2, 2).to(memory_format=torch.channels_last)
    save_checkpoint(tmp_path / "a", WEIGHTS | {"c": channels_last}, ABOUT)
    same = {"c": channels_last.contiguous().requires_grad_(), **dict(reversed(WEIGHTS.items()))}
    save_checkpoint(tmp_path / "b", same, dict(reversed(ABOUT.items())))
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()


def test_every_seeds_model_gets_its_file(tmp_path: Path) -> None:
    models = {seed: torch.nn.Linear(2, 1) for seed in (3, 5)}
    save_checkpoints(tmp_path, models, {"kind": "line"})
    assert sorted(path.name for path in (tmp_path / "models").iterdir()) == ["seed3.safetensors", "seed5.safetensors"]
    weights, about = load_checkpoint(checkpoint_path(tmp_path, 5))
    assert about == {"kind": "line", "seed": 5, "version": __version__} and torch.equal(
        weights["weight"], models[5].weight
    )


FOREIGN: dict[str, Callable[[Path], object]] = {
    "garbage": lambda path: path.write_bytes(b"\x08" + b"\0" * 7 + b"not json"),
    "empty": lambda path: path.touch(),
    "folder": lambda path: path.mkdir(),
    "pickle": lambda path: path.write_bytes(pickle.dumps(Bomb(path.with_name("exploded")))),
    "torch's own": lambda path: torch.save({"bomb": Bomb(path.with_name("exploded"))}, path),
    "no metadata": lambda path: save_file(WEIGHTS, path),
    "others' metadata": lambda path: save_file(WEIGHTS, path, metadata={"format": "pt"}),
    "about is no JSON": lambda path: save_file(WEIGHTS, path, metadata={"about": "{"}),
}


@pytest.mark.parametrize("make", FOREIGN.values(), ids=FOREIGN)
def test_a_foreign_checkpoint_is_refused_and_not_run(tmp_path: Path, make: Callable[[Path], object]) -> None:
    path = tmp_path / "seed0.safetensors"
    make(path)
    with pytest.raises(PipelineError, match="seed0.safetensors: not a checkpoint of this project"):
        load_checkpoint(path)
    assert list(tmp_path.iterdir()) == [path]


def test_a_truncated_checkpoint_is_refused(tmp_path: Path) -> None:
    save_checkpoint(tmp_path / "a", WEIGHTS, ABOUT)
    (tmp_path / "a").write_bytes((tmp_path / "a").read_bytes()[:-1])
    with pytest.raises(PipelineError, match="not a checkpoint"):
        load_checkpoint(tmp_path / "a")


def test_a_net_that_cannot_be_built_is_named_with_its_file(tmp_path: Path) -> None:
    path = tmp_path / "seed0.safetensors"
    save_checkpoint(path, WEIGHTS, ABOUT)

    def refuse(widths: list[int], downsample: str) -> torch.nn.Module:
        raise PipelineError(f"fusion.nets.vote is no fusion over {downsample}")

    with pytest.raises(PipelineError) as refusal:
        restore(path, "fusion", refuse, torch.device("cpu"))
    assert str(refusal.value) == (
        f"{path}: found a net that cannot be built (fusion.nets.vote is no fusion over maxpool); "
        "expected a net of this version; run `dvc repro`"
    )


LINE = {"in_features": 2, "out_features": 1}
MISFITS = {
    "a huge net": (
        {"weight": torch.zeros(1)},
        {"in_features": 10**9, "out_features": 10**9},
        "weight is (1,), expected",
    ),
    "another shape": ({"weight": torch.zeros(2, 3), "bias": torch.zeros(2)}, LINE, "weight is (2, 3), expected (1, 2)"),
    "a weight less": ({"weight": torch.zeros(1, 2)}, LINE, "bias is None, expected (1,)"),
    "a negative width": ({}, {"in_features": -1, "out_features": 1}, "negative"),
    "a width that is text": ({}, {"in_features": "$(touch ran)", "out_features": 1}, "weights do not fit"),
}


@pytest.mark.parametrize("weights, net, reason", MISFITS.values(), ids=MISFITS)
def test_weights_that_do_not_fit_are_refused_before_memory_is_taken(
    tmp_path: Path, weights: dict, net: dict, reason: str
) -> None:
    path = tmp_path / "seed0.safetensors"
    save_checkpoint(path, weights, {"kind": "line", "net": net})
    with pytest.raises(PipelineError) as refusal:
        restore(path, "line", torch.nn.Linear, torch.device("cpu"))
    assert reason in str(refusal.value) and str(refusal.value).endswith("; run `dvc repro`")
    assert list(tmp_path.iterdir()) == [path]


def test_want_of_memory_is_no_fault_of_a_checkpoint(tmp_path: Path) -> None:
    def take_memory() -> torch.nn.Module:
        raise RuntimeError("DefaultCPUAllocator: can't allocate memory")

    save_checkpoint(tmp_path / "a", WEIGHTS, {"kind": "fusion", "net": {}})
    with pytest.raises(RuntimeError, match="can't allocate memory$"):
        restore(tmp_path / "a", "fusion", take_memory, torch.device("cpu"))

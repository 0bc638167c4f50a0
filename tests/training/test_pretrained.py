"""Foreign weights: the course's key layout is taken, and whatever does not fit is refused before anything changes."""

import re

import pytest
import torch

from pipeline.core.errors import PipelineError
from pipeline.core.files import sha256
from pipeline.models.cilp import LidarClassifier
from pipeline.training.pretrained import load_weights
from support.bombs import Bomb

# the file that people who took the course have: a plain state_dict with these keys and shapes
COURSE = {
    "embedder.0": (50, 1, 3, 3),
    "embedder.3": (100, 50, 3, 3),
    "embedder.6": (200, 100, 3, 3),
    "embedder.9": (200, 200, 3, 3),
    "classifier.0": (100, 3200),
    "classifier.2": (1, 100),
}


def course_weights() -> dict[str, torch.Tensor]:
    draw = torch.Generator().manual_seed(0)
    weights = {}
    for name, shape in COURSE.items():
        weights[f"{name}.weight"] = torch.randn(shape, generator=draw) / 30
        weights[f"{name}.bias"] = torch.randn(shape[:1], generator=draw) / 30
    return weights


@pytest.fixture
def net() -> LidarClassifier:
    return LidarClassifier([50, 100, 200, 200], [100])


def test_the_courses_layout_loads_and_takes_raw_depth(net, tmp_path):
    weights = course_weights()
    torch.save(weights, tmp_path / "lidar_cnn.pt")
    load_weights(net, tmp_path / "lidar_cnn.pt")
    depth = torch.full((2, 1, 64, 64), 50.0)
    depth[1, 0, 20:40, 20:40] = 24.0
    values = depth
    for name in ("embedder.0", "embedder.3", "embedder.6", "embedder.9"):  # the course's net, written out
        values = torch.conv2d(values, weights[f"{name}.weight"], weights[f"{name}.bias"], padding=1).relu()
        values = torch.max_pool2d(values, 2)
    hidden = (values.flatten(1) @ weights["classifier.0.weight"].T + weights["classifier.0.bias"]).relu()
    expected = (hidden @ weights["classifier.2.weight"].T + weights["classifier.2.bias"]).squeeze(1)
    torch.testing.assert_close(net(depth), expected, rtol=1e-4, atol=1e-4)


def prefixed(prefix: str) -> dict[str, torch.Tensor]:
    return {prefix + name: tensor for name, tensor in course_weights().items()}


WRAPPED = {
    "state_dict": {"state_dict": course_weights(), "epoch": 3, "optimizer": {"state": {}, "param_groups": [{"lr": 1}]}},
    "model_state_dict": {"epoch": 3, "model_state_dict": course_weights()},
    "a wrapper in a wrapper": {"checkpoint": {"model": course_weights(), "epoch": 3}},
    "of DataParallel": prefixed("module."),
    "of torch.compile": prefixed("_orig_mod."),
    "of both": prefixed("_orig_mod.module."),
    "of Lightning": {"state_dict": prefixed("model."), "global_step": 100},
}


@pytest.mark.parametrize("content", WRAPPED.values(), ids=WRAPPED)
def test_weights_in_a_wrapper_or_behind_a_prefix_are_taken(content, net, tmp_path):
    torch.save(content, tmp_path / "weights.pt")
    load_weights(net, tmp_path / "weights.pt")
    expected = course_weights()
    assert net.state_dict().keys() == expected.keys()
    assert all(torch.equal(tensor, expected[name]) for name, tensor in net.state_dict().items())


def holds_itself() -> dict:
    content: dict = {"epoch": 3}
    content["again"] = content
    return content


def without(name: str) -> dict:
    return {key: value for key, value in course_weights().items() if key != name}


BROKEN = {
    "a missing key": (
        without("embedder.6.bias"),
        r"embedder\.6\.bias is missing; expected float32 \(200,\); .*lidar\.channels and lidar\.head_dims",
    ),
    "another shape": (
        course_weights() | {"embedder.3.weight": torch.zeros(100, 50, 5, 5)},
        r"embedder\.3\.weight is float32 \(100, 50, 5, 5\); expected float32 \(100, 50, 3, 3\)",
    ),
    "an unknown key": (course_weights() | {"head.bias": torch.zeros(1)}, r"found head\.bias, which the net does not"),
    "whole numbers": (
        course_weights() | {"classifier.2.bias": torch.zeros(1, dtype=torch.int64)},
        r"classifier\.2\.bias is int64 \(1,\); expected float32 \(1,\)",
    ),
    "no tensor": (course_weights() | {"classifier.2.bias": 1.0}, r"classifier\.2\.bias is a float"),
    "not a number": (
        course_weights() | {"embedder.0.bias": torch.full((50,), torch.nan)},
        r"embedder\.0\.bias holds NaN or infinite values",
    ),
    "a list": ([torch.zeros(1)], "found a list; expected a state_dict"),
    "two nets": (
        {"model": course_weights(), "ema": prefixed("module.")},
        "found weights in model and ema; expected one state_dict; save the right one alone",
    ),
    "another net": (
        {"state_dict": {"conv1.weight": torch.zeros(1)}, "epoch": 3},
        r"found state_dict, epoch, state_dict\.conv1\.weight; expected a state_dict with embedder\.0\.weight; give the",
    ),
    "a key without the prefix of the others": (
        prefixed("model.") | {"loss.weight": torch.zeros(1)},
        r"found loss\.weight, which the net does not",
    ),
    "a missing key in a wrapper": (
        {"state_dict": without("embedder.6.bias")},
        r"embedder\.6\.bias is missing; expected float32 \(200,\)",
    ),
    "a key that no terminal should see": (course_weights() | {"\x1b[31m": torch.zeros(1)}, r"found \\x1b\[31m, which"),
    "a key that is no name": (prefixed("module.") | {7: torch.zeros(1)}, "found 7, which the net does not have"),
    "nothing": ({}, r"found nothing; expected a state_dict with embedder\.0\.weight"),
    "a mapping that holds itself": (holds_itself(), "found epoch, again; expected a state_dict"),
    "the module itself": (LidarClassifier([2], [2]), "found pickled objects"),
}


@pytest.mark.parametrize("kind", BROKEN)
def test_a_file_that_does_not_fit_is_refused_by_its_first_fault(kind, net, tmp_path):
    content, message = BROKEN[kind]
    path = tmp_path / "weights.pt"
    torch.save(content, path)
    before = {name: value.clone() for name, value in net.state_dict().items()}
    with pytest.raises(PipelineError, match=f"^{re.escape(str(path))}: {message}"):
        load_weights(net, path)
    assert all(torch.equal(value, before[name]) for name, value in net.state_dict().items())


JUNK = {"empty": b"", "text": b"no torch file", "cut": b"PK\x03\x04 half a zip", "a pickle of nothing": b"\x80\x02."}


@pytest.mark.parametrize("content", JUNK.values(), ids=JUNK)
def test_a_broken_file_is_refused(content, net, tmp_path):
    path = tmp_path / "weights.pt"
    path.write_bytes(content)
    with pytest.raises(PipelineError, match="weights.pt: .*state_dict"):
        load_weights(net, path)


def test_an_absent_file_is_refused_with_what_to_do(net, tmp_path):
    with pytest.raises(PipelineError, match="nowhere.pt: found nothing; copy the file there, or set lidar.weights"):
        load_weights(net, tmp_path / "nowhere.pt")


def test_a_script_and_a_folder_are_refused_by_name(net, tmp_path):
    torch.jit.script(torch.nn.Linear(1, 1)).save(str(tmp_path / "script.pt"))
    with pytest.raises(PipelineError, match="script.pt: found a TorchScript archive; expected a state_dict"):
        load_weights(net, tmp_path / "script.pt")
    with pytest.raises(PipelineError, match="found a folder; expected a file"):
        load_weights(net, tmp_path)


def test_nothing_in_a_hostile_file_runs(net, tmp_path):
    path, target = tmp_path / "weights.pt", tmp_path / "was-run"
    torch.save(course_weights() | {"classifier.2.bias": Bomb(target)}, path)
    with pytest.raises(PipelineError, match="found pickled objects"):
        load_weights(net, path)
    assert not target.exists()


def test_fingerprint_is_sha256(tmp_path):
    (tmp_path / "file").write_bytes(b"abc")
    assert sha256(tmp_path / "file").startswith("ba7816bf8f01cfea414140de5dae2223")

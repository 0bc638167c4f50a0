"""ONNX equals torch, carries its description, and takes its name only when both are true."""

import json

import numpy as np
import onnx
import pytest
import torch

from pipeline.core.device import setup_device
from pipeline.core.errors import PipelineError
from pipeline.data.arrays import load_arrays
from pipeline.tools.inference.deployable import load_deployable
from pipeline.tools.inference.onnx_export import export_onnx, max_difference, onnx_session, real_inputs
from pipeline.version import __version__
from support.checkpoints import write_checkpoints

CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def checkpoints(prepared, tmp_path_factory):
    setup_device()  # as in a notebook that has trained
    return write_checkpoints(tmp_path_factory.mktemp("checkpoints"), load_arrays(prepared, CPU), rescale=False)


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["fusion", "lidar", "classify"])
def test_onnx_gives_torchs_logits_for_any_batch(kind, checkpoints, raw_folder, tmp_path):
    out = tmp_path / "new" / "model.onnx"
    done = export_onnx(checkpoints[kind], out, raw_folder)
    assert done.pairs == 12 and done.difference <= 1e-4
    net = load_deployable(checkpoints[kind], CPU)
    values = real_inputs(raw_folder, net.sensors)
    for size in (1, 3, 12):
        part = [each[:size] for each in values]
        logits = onnx_session(out).run(["logit"], dict(zip(net.sensors, part, strict=True)))[0]
        with torch.inference_mode():
            np.testing.assert_allclose(logits, net.module(*map(torch.from_numpy, part)).numpy(), atol=1e-4)
    content = out.read_bytes()  # no trace of where it was made
    assert b"site-packages" not in content and str(checkpoints[kind].parent).encode() not in content
    assert b"pipeline/models" not in content
    metadata = {prop.key: prop.value for prop in onnx.load(out).metadata_props}
    assert metadata == done.metadata
    assert json.loads(metadata["classes"]) == ["cube", "sphere"] and json.loads(metadata["about"])["kind"] == kind
    assert {"preprocessing", "checkpoint_sha256", "git_commit", "data_md5"} <= set(metadata)
    assert metadata["version"] == __version__


@pytest.mark.slow
@pytest.mark.parametrize(("off", "printed"), [(2e-4, "0.0002"), (float("nan"), "nan")])
def test_an_export_that_differs_leaves_no_file(off, printed, checkpoints, raw_folder, tmp_path, monkeypatch):
    honest = max_difference
    # the batch of one is right, the whole is not
    monkeypatch.setattr(
        "pipeline.tools.inference.onnx_export.max_difference",
        lambda net, path, values: honest(net, path, values) + off * (len(values[0]) > 1),
    )
    with pytest.raises(PipelineError, match=f"model.onnx: ONNX Runtime's logits differ from torch's by {printed}"):
        export_onnx(checkpoints["lidar"], tmp_path / "model.onnx", raw_folder)
    assert not list(tmp_path.iterdir())


def test_max_difference_sees_a_difference(checkpoints, raw_folder, monkeypatch):
    net = load_deployable(checkpoints["lidar"], CPU)
    values = real_inputs(raw_folder, net.sensors)
    with torch.inference_mode():
        logits = net.module(*map(torch.from_numpy, values)).numpy()

    class Session:
        def run(self, names, inputs):
            return [logits + np.float32(0.5)]

    monkeypatch.setattr("pipeline.tools.inference.onnx_export.onnx_session", lambda path: Session())
    expected = 0.5 / max(1, np.abs(logits).max())
    assert max_difference(net, None, values) == pytest.approx(expected, abs=1e-5)


def test_inputs_that_are_no_data_are_refused(checkpoints, tmp_path):
    with pytest.raises(PipelineError, match="no .npy file; .*--inputs FOLDER"):
        export_onnx(checkpoints["lidar"], tmp_path / "model.onnx", tmp_path)
    assert not list(tmp_path.iterdir())


def test_inputs_come_from_all_over_the_folder(raw_folder):
    depth = real_inputs(raw_folder, ["lidar"], count=4)[0]
    assert depth.shape == (4, 64, 64) and depth.dtype == np.float32
    whole = real_inputs(raw_folder, ["lidar"])[0]
    np.testing.assert_array_equal(depth, whole[[0, 3, 7, 11]])
    assert len(real_inputs(raw_folder, ["lidar"], count=7)[0]) == 7

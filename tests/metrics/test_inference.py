"""From a checkpoint file to the outputs of its net."""

import pytest
import torch

from pipeline.core.checkpoints import restore, save_checkpoint, save_checkpoints
from pipeline.core.errors import PipelineError
from pipeline.core.runs import checkpoint_path
from pipeline.data.arrays import Batch, Batches, Examples
from pipeline.metrics.inference import (
    collect_outputs,
    input_logits,
    lidar_logits,
    pair_embeddings,
    pair_logits,
    store_outputs,
)
from pipeline.models.cilp import CILP, CrossModalClassifier, LidarClassifier, ProjectedClassifier, build_projector
from pipeline.models.fusion import build_fusion
from pipeline.transfer.chain import build_classifier

CPU = torch.device("cpu")
STANDARD = {"depth_mean": 24.0, "depth_std": 3.0}
CILP_NET = {"channels": [2, 3], "hidden_dims": [4], "embed_dim": 5, "temperature": 0.07} | STANDARD
PROJECT_NET = {"embed_dim": 5, "hidden_dims": [6], "target_dim": 3 * 16 * 16}
LIDAR_NET = {"channels": [2, 3], "head_dims": [4]} | STANDARD
FUSION_NET = {
    "fusion": "late",
    "downsample": "strided",
    "widths": {"channels": [2], "embed_dim": 3, "head_dims": [4]},
} | STANDARD


def rgb_logits(net, batches):
    return input_logits(net, [Examples(batch.rgb, batch.label) for batch in batches])


def rgb_to_lidar() -> CrossModalClassifier:
    lidar = LidarClassifier(**LIDAR_NET)
    return CrossModalClassifier(
        CILP(**CILP_NET).rgb, ProjectedClassifier(build_projector(**PROJECT_NET), lidar.classifier)
    )


BUILD = {"fusion": build_fusion, "lidar": LidarClassifier, "classify": build_classifier, "cilp": CILP}
NETS = {
    "fusion": (FUSION_NET, lambda: build_fusion(**FUSION_NET), pair_logits),
    "lidar": (LIDAR_NET, lambda: LidarClassifier(**LIDAR_NET), lidar_logits),
    "classify": ({"cilp": CILP_NET, "project": PROJECT_NET, "lidar": LIDAR_NET}, rgb_to_lidar, rgb_logits),
    "cilp": (CILP_NET, lambda: CILP(**CILP_NET), lambda net, batches: torch.cat(pair_embeddings(net, batches))),
}


def batches(channels: int) -> Batches:
    """Return seven pairs in batches of 3, 3 and 1."""
    draw = torch.Generator().manual_seed(1)
    rgb, lidar = (torch.rand(7, c, 64, 64, generator=draw) for c in (4, channels))
    return Batches(lambda rows: Batch(rgb[rows], 20 + lidar[rows], rows.float()), torch.arange(7), 3)


@pytest.mark.parametrize("kind", NETS)
def test_a_restored_net_predicts_equal_logits(kind, tmp_path):
    net, build, predict = NETS[kind]
    model = build().to(memory_format=torch.channels_last)
    save_checkpoints(tmp_path, {7: model}, {"kind": kind, "net": net})
    again = restore(checkpoint_path(tmp_path, 7), kind, BUILD[kind], CPU)
    pairs = batches(4 if kind == "fusion" else 1)
    assert torch.equal(predict(model, pairs), predict(again, pairs))
    assert not again.training


def test_outputs_come_in_order_with_the_last_partial_batch():
    assert collect_outputs(lambda batch: batch.label, batches(1)).tolist() == [0, 1, 2, 3, 4, 5, 6]


def test_stored_outputs_are_those_collected_and_can_be_trained_on(tmp_path):
    stored = store_outputs(lambda batch: batch.lidar[:, 0, 0, :2], batches(1), tmp_path)
    assert torch.equal(stored, collect_outputs(lambda batch: batch.lidar[:, 0, 0, :2], batches(1)))
    assert stored.shape == (7, 2) and stored.dtype == torch.float32
    weight = torch.ones(2, requires_grad=True)
    (stored @ weight).sum().backward()  # needs a tensor from outside of torch's inference mode
    torch.testing.assert_close(weight.grad, stored.sum(dim=0))


def test_each_modality_goes_to_its_own_embedder():
    net = CILP(**CILP_NET)
    rgb, lidar = pair_embeddings(net, batches(1))
    torch.testing.assert_close(rgb, collect_outputs(lambda batch: net.rgb(batch.rgb), batches(1)))
    torch.testing.assert_close(lidar, collect_outputs(lambda batch: net.lidar(batch.lidar), batches(1)))
    assert not torch.allclose(rgb, lidar)


@pytest.mark.parametrize(
    ("about", "message"),
    [
        ({"kind": "lidar", "net": LIDAR_NET | {"head_dims": [5]}}, "weights do not fit"),
        ({"kind": "lidar"}, "weights do not fit"),
        ({"kind": "cilp", "net": CILP_NET}, "found a net of kind cilp, expected lidar"),
        ({}, "found a net of kind None, expected lidar"),
    ],
)
def test_weights_that_do_not_fit_their_description_are_refused(about, message, tmp_path):
    path = tmp_path / "net.safetensors"
    save_checkpoint(path, LidarClassifier(**LIDAR_NET).state_dict(), about)
    with pytest.raises(PipelineError, match=f"net.safetensors: {message}"):
        restore(path, "lidar", LidarClassifier, CPU)

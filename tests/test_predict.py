"""From a checkpoint file to what its net says."""

import pytest
import torch

from pipeline.artifacts import checkpoint_path, save_checkpoint, save_models
from pipeline.data.arrays import Batch, Batches, Features
from pipeline.errors import PipelineError
from pipeline.models.cilp import CILP, FromEmbedding, LidarClassifier, RgbToLidar, build_projector
from pipeline.models.fusion import build_fusion
from pipeline.results.checkpoints import restore
from pipeline.results.predict import embeddings, input_logits, lidar_logits, outputs, pair_logits

CPU = torch.device("cpu")
STANDARD = {"centre": 24.0, "spread": 3.0}
CILP_NET = {"branch": [2, 3], "hidden": [4], "embed": 5, "temperature": 0.07} | STANDARD
PROJECT_NET = {"embed": 5, "hidden": [6], "target": 3 * 16 * 16}
LIDAR_NET = {"branch": [2, 3], "head": [4]} | STANDARD
FUSION_NET = {"fusion": "late", "downsample": "strided", "widths": {"branch": [2], "embed": 3, "head": [4]}} | STANDARD


def rgb_logits(net, batches):
    return input_logits(net, (Features(batch.rgb, batch.label) for batch in batches))


def rgb_to_lidar() -> RgbToLidar:
    lidar = LidarClassifier(**LIDAR_NET)
    return RgbToLidar(CILP(**CILP_NET).rgb, FromEmbedding(build_projector(**PROJECT_NET), lidar.classifier))


NETS = {
    "fusion": (FUSION_NET, lambda: build_fusion(**FUSION_NET), pair_logits),
    "lidar": (LIDAR_NET, lambda: LidarClassifier(**LIDAR_NET), lidar_logits),
    "classify": ({"cilp": CILP_NET, "project": PROJECT_NET, "lidar": LIDAR_NET}, rgb_to_lidar, rgb_logits),
    "cilp": (CILP_NET, lambda: CILP(**CILP_NET), lambda net, batches: torch.cat(embeddings(net, batches))),
}


def batches(channels: int) -> Batches:
    """Seven pairs in batches of 3, 3 and 1."""
    draw = torch.Generator().manual_seed(1)
    rgb, lidar = (torch.rand(7, c, 64, 64, generator=draw) for c in (4, channels))
    return Batches(lambda rows: Batch(rgb[rows], 20 + lidar[rows], rows.float()), torch.arange(7), 3)


@pytest.mark.parametrize("kind", NETS)
def test_a_restored_net_says_the_same(kind, tmp_path):
    net, build, say = NETS[kind]
    model = build().to(memory_format=torch.channels_last)
    save_models(tmp_path, {7: model}, {"kind": kind, "net": net})
    again = restore(checkpoint_path(tmp_path, 7), kind, CPU)
    pairs = batches(4 if kind == "fusion" else 1)
    assert torch.equal(say(model, pairs), say(again, pairs))
    assert not again.training


def test_outputs_come_in_order_with_the_last_partial_batch():
    assert outputs(lambda batch: batch.label, batches(1)).tolist() == [0, 1, 2, 3, 4, 5, 6]


def test_each_modality_goes_to_its_own_embedder():
    net = CILP(**CILP_NET)
    rgb, lidar = embeddings(net, batches(1))
    torch.testing.assert_close(rgb, outputs(lambda batch: net.rgb(batch.rgb), batches(1)))
    torch.testing.assert_close(lidar, outputs(lambda batch: net.lidar(batch.lidar), batches(1)))
    assert not torch.allclose(rgb, lidar)


@pytest.mark.parametrize(
    ("about", "message"),
    [
        ({"kind": "lidar", "net": LIDAR_NET | {"head": [5]}}, "weights do not fit"),
        ({"kind": "lidar"}, "weights do not fit"),
        ({"kind": "cilp", "net": CILP_NET}, "found a net of kind cilp, expected lidar"),
        ({}, "found a net of kind None, expected lidar"),
    ],
)
def test_weights_that_do_not_fit_their_description_are_refused(about, message, tmp_path):
    path = tmp_path / "net.safetensors"
    save_checkpoint(path, LidarClassifier(**LIDAR_NET).state_dict(), about)
    with pytest.raises(PipelineError, match=f"net.safetensors: {message}"):
        restore(path, "lidar", CPU)

"""The chain: untrained nets are at chance in every figure, frozen parts stay, shortcuts give what long ways give."""

import math

import pytest
import torch

from pipeline.core.checkpoints import save_checkpoints
from pipeline.core.device import autocast, make_generator
from pipeline.core.errors import PipelineError
from pipeline.core.runs import checkpoint_path
from pipeline.data.arrays import Arrays, Batches, load_arrays
from pipeline.evaluation import scores
from pipeline.metrics.inference import input_logits, pair_embeddings
from pipeline.models.cilp import CILP
from pipeline.raw.prepare import prepare
from pipeline.raw.splitting import split_by_scene
from pipeline.tools.simulator.simulate import simulate
from pipeline.transfer import chain
from pipeline.transfer.scores import cilp_metrics, lidar_features
from pipeline.transfer.tuning import TUNINGS

CPU = torch.device("cpu")
STANDARD = {"depth_mean": 24.0, "depth_std": 3.0}
NETS = {
    "lidar": {"channels": [8, 16, 16], "head_dims": [8]} | STANDARD,
    "cilp": {"channels": [8, 16, 16], "norm": "batch", "hidden_dims": [16], "embed_dim": 24, "temperature": 0.07}
    | STANDARD,
    "project": {"embed_dim": 24, "hidden_dims": [16], "target_dim": 16 * 8 * 8},
}


@pytest.fixture(scope="module")
def data(tmp_path_factory) -> Arrays:
    """120 scenes, 96 of them to test on."""
    folder = tmp_path_factory.mktemp("chain")
    simulate(folder / "raw", 120, 0)
    fractions = {"train": 0.1, "val": 0.1, "test": 0.8}
    prepare(folder / "raw", folder / "arrays", lambda scenes, _: split_by_scene(scenes, fractions, 0))
    return load_arrays(folder / "arrays", CPU)


def targets_of(nets: chain.Chain, data: Arrays) -> torch.Tensor:
    return lidar_features(nets.lidar, data)


@pytest.mark.slow
@pytest.mark.parametrize("seed", [0, 1])
@pytest.mark.parametrize("norm", ["none", "batch"])
def test_an_untrained_chain_is_at_chance_in_every_figure(seed, norm, data):
    nets = chain.build_untrained_chain(NETS | {"cilp": NETS["cilp"] | {"norm": norm}}, seed, CPU)
    figures, marks = scores.score_chain(nets, targets_of(nets, data), data, batch_size=32)
    cilp, pairs = figures["cilp"], 192
    for way in ("", "_reverse"):
        assert cilp[f"top1{way}"] <= 4 / pairs and cilp[f"top5{way}"] <= 15 / pairs
        assert cilp[f"mean_rank{way}"] == pytest.approx(cilp["chance_mean_rank"], rel=0.15)
    assert cilp["course_loss"] == pytest.approx(cilp["course_chance_loss"], abs=0.01)
    assert cilp["course_chance_loss"] == pytest.approx(math.log(32))
    assert cilp["loss"] == pytest.approx(cilp["chance_loss"], abs=0.05)
    assert cilp["alignment"] == pytest.approx(cilp["chance_alignment"], abs=0.02)
    assert abs(cilp["uniformity_rgb"]) < 0.5 and abs(cilp["uniformity_lidar"]) < 0.5
    assert figures["project"]["r2"] <= 0 and figures["project"]["cosine"] < figures["project"]["chance_cosine"]
    assert abs(scores.score_lidar(nets.lidar, data)["accuracy"] - 0.5) < 0.1
    assert abs(figures["classify"]["zero_shot_accuracy"] - 0.5) < 0.1
    assert marks.points == 5  # half of the course's points, for nothing


def test_the_similarities_are_of_rgb_against_lidar(data):
    model = chain.build_untrained_chain(NETS, 0, CPU).cilp
    batches = Batches(data.with_depth, data.scene_pairs("test")[:4])
    rgb, lidar = pair_embeddings(model, batches)
    matrix = rgb @ lidar.T
    assert not torch.allclose(matrix.diagonal(), torch.ones(8), atol=0.05)  # that of RGB against RGB would be ones
    one = next(iter(batches))
    with torch.inference_mode(), autocast(CPU):
        expected = model.rgb(one.rgb[1:2]) @ model.lidar(one.lidar[2:3]).T
    assert matrix[1, 2].item() == pytest.approx(expected.item(), abs=0.01)  # row RGB, column LiDAR


def test_no_batch_holds_two_pairs_of_one_scene_and_shape(data):
    """So no negative is false: the two pairs of a scene differ in shape, and are negatives by intent."""
    batches = Batches(lambda rows: rows, data.scene_pairs("train"), 8)
    epoch = list(batches.shuffled(make_generator(0)))
    assert all(len(rows.unique()) == len(rows) for rows in epoch)
    assert sorted(torch.cat(epoch).tolist()) == data.splits["train"].tolist()


def test_tuning_the_projector_alone_freezes_the_rest_and_sees_each_picture_once(data):
    net = chain.build_untrained_chain(NETS, 0, CPU).classifier()
    rows = data.splits["val"]
    expected = input_logits(net, Batches(data.with_label, rows))
    finetune = TUNINGS["projector_only"](net, data)
    part, batch_fn = finetune.part, finetune.batch_fn
    torch.testing.assert_close(input_logits(part, Batches(batch_fn, rows)), expected, rtol=0.02, atol=0.01)
    trainable = {name for name, each in net.named_parameters() if each.requires_grad}
    assert trainable == {f"tail.projector.{layer}.{kind}" for layer in (0, 2) for kind in ("weight", "bias")}
    before = {name: value.clone() for name, value in net.embedder.state_dict().items()}
    part.train()(batch_fn(rows).inputs)  # batch normalisation in the embedder keeps its running figures
    assert all(torch.equal(value, before[name]) for name, value in net.embedder.state_dict().items())


def test_tuning_in_full_leaves_nothing_frozen(data):
    net = chain.build_untrained_chain(NETS, 0, CPU).classifier()
    finetune = TUNINGS["full"](net, data)
    part, batch_fn = finetune.part, finetune.batch_fn
    assert part is net and all(each.requires_grad for each in net.parameters())
    assert batch_fn(data.splits["val"]).inputs.shape[1:] == (4, 64, 64)


def test_untrained_nets_differ_by_seed_and_repeat():
    first, again, other = (
        chain.build_untrained_chain(NETS, seed, CPU).cilp.rgb.features[2][0].weight for seed in (0, 0, 1)
    )
    assert torch.equal(first, again) and not torch.equal(first, other)


def test_a_chain_of_checkpoints_is_put_together_by_stage(data, tmp_path, monkeypatch):
    monkeypatch.setattr(chain, "RUNS", tmp_path)
    nets = chain.build_untrained_chain(NETS, 5, CPU)
    for part, net in zip(chain.Chain._fields, nets, strict=True):
        save_checkpoints(tmp_path / part, {5: net}, {"kind": part, "net": NETS[part]})
    loaded, targets = chain.load_chain(5, CPU), targets_of(nets, data)
    assert torch.equal(targets_of(loaded, data), targets)
    assert scores.score_chain(loaded, targets, data, 32) == scores.score_chain(nets, targets, data, 32)
    checkpoint_path(tmp_path / "project", 5).unlink()
    with pytest.raises(PipelineError, match="project/models/seed5.safetensors: not found"):
        chain.load_chain(5, CPU)


def test_the_courses_batches_are_in_the_order_of_the_arrays(data):
    """All cubes, then all spheres: scene_pairs, which make a batch harder, stay apart."""
    model: CILP = chain.build_untrained_chain(NETS, 0, CPU).cilp
    scene_pairs = cilp_metrics(model, Batches(data.with_depth, data.scene_pairs("test")), 32)
    rows = cilp_metrics(model, Batches(data.with_depth, data.splits["test"]), 32)
    assert scene_pairs["course_loss"] == pytest.approx(rows["course_loss"], abs=1e-4)


def test_the_courses_marks_are_those_of_cubes_and_spheres_in_turn(data):
    """A classifier that always says cube has half of every batch right, whatever the order of the arrays."""
    rows = data.splits["test"]
    assert data.label[rows][:96].sum() == 0  # all cubes, then all spheres
    always_cube = scores.score_course(3.0, torch.full((len(rows),), -1.0), data)
    assert always_cube.accuracies == [0.5] * 5
    right = scores.score_course(3.0, data.label[rows] - 0.5, data)
    assert right.accuracies == [1.0] * 5 and right.points == 10

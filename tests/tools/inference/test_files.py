"""Files in, classes out: pairing, order, and broken files that cost only themselves."""

import shutil
from pathlib import Path

import numpy as np
import pytest
import torch

from pipeline.core.checkpoints import load_checkpoint, save_checkpoint, save_checkpoints
from pipeline.core.device import build_seeded
from pipeline.core.errors import PipelineError
from pipeline.core.runs import checkpoint_path
from pipeline.data.arrays import Arrays, Batches, load_arrays
from pipeline.metrics.inference import input_logits, lidar_logits, pair_logits
from pipeline.models.cilp import CILP, CrossModalClassifier, LidarClassifier, ProjectedClassifier, build_projector
from pipeline.models.fusion import build_fusion
from pipeline.raw.format import Issue
from pipeline.tools.inference.deployable import load_deployable
from pipeline.tools.inference.files import Prediction, counterpart, find_files, predict_files

CPU = torch.device("cpu")
STANDARD = {"depth_mean": 24.0, "depth_std": 3.0}
CILP_NET = {"channels": [2, 3], "hidden_dims": [4], "embed_dim": 5, "temperature": 0.07, "norm": "batch"} | STANDARD
PROJECT_NET = {"embed_dim": 5, "hidden_dims": [6], "target_dim": 3 * 16 * 16}
LIDAR_NET = {"channels": [2, 3], "head_dims": [4]} | STANDARD
FUSION_NET = {
    "fusion": "add",
    "downsample": "maxpool",
    "widths": {"channels": [4], "shared_channels": [4], "head_dims": [4]},
} | STANDARD


def rgb_to_lidar() -> CrossModalClassifier:
    lidar = LidarClassifier(**LIDAR_NET)
    return CrossModalClassifier(
        CILP(**CILP_NET).rgb, ProjectedClassifier(build_projector(**PROJECT_NET), lidar.classifier)
    )


def write_checkpoints(folder: Path, data: Arrays, spreading: bool) -> dict[str, Path]:
    """One untrained net a kind, as the stages save them."""
    nets = {
        "fusion": (lambda: build_fusion(**FUSION_NET), FUSION_NET, {"angles": data.angles}),
        "lidar": (lambda: LidarClassifier(**LIDAR_NET), LIDAR_NET, {}),
        "classify": (rgb_to_lidar, {"cilp": CILP_NET, "project": PROJECT_NET, "lidar": LIDAR_NET}, {}),
        "cilp": (lambda: CILP(**CILP_NET), CILP_NET, {}),
    }
    for kind, (build, net, more) in nets.items():
        model = build_seeded(3, build).eval()
        if spreading and kind in LOOKS:
            depth_std(model, LOOKS[kind](model, data))
        save_checkpoints(folder / kind, {0: model}, {"kind": kind, "net": net} | more)
    return {kind: checkpoint_path(folder / kind, 0) for kind in nets}


@pytest.fixture(scope="module")
def checkpoints(prepared, tmp_path_factory) -> dict[str, Path]:
    """Nets that tell the pairs apart."""
    return write_checkpoints(tmp_path_factory.mktemp("checkpoints"), load_arrays(prepared, CPU), spreading=True)


def depth_std(model: torch.nn.Module, logits: torch.Tensor) -> None:
    """Give an untrained net logits of mean 0 and deviation 3: both classes, and a swapped file would show."""
    last = [layer for layer in model.modules() if isinstance(layer, torch.nn.Linear)][-1]
    last.bias.data = 3 * (last.bias.data - logits.mean()) / logits.std()
    last.weight.data *= 3 / logits.std()


LOOKS = {
    "fusion": lambda net, data: pair_logits(net, Batches(data.with_xyza, data.all_rows)),
    "lidar": lambda net, data: lidar_logits(net, Batches(data.with_depth, data.all_rows)),
    "classify": lambda net, data: input_logits(net, Batches(data.with_label, data.all_rows)),
}


@pytest.mark.parametrize("kind", LOOKS)
def test_files_give_what_the_prepared_arrays_give(kind, checkpoints, raw_folder, prepared):
    net = load_deployable(checkpoints[kind], CPU)
    results = list(predict_files(net, [raw_folder], 5, CPU))  # 12 pairs in batches of 5, 5 and 2
    logits = LOOKS[kind](net.module.net, load_arrays(prepared, CPU))
    sphere = [each.probability if each.class_name == "sphere" else 1 - each.probability for each in results]
    np.testing.assert_allclose(sphere, logits.sigmoid(), atol=0.05)  # bfloat16, and batches of another shape
    assert {each.class_name for each in results} == {"cube", "sphere"} and logits.std() > 2
    assert [each.path for each in results] == sorted(each.path for each in results) and len(results) == 12


def test_a_net_that_predicts_no_class_is_refused(checkpoints):
    with pytest.raises(
        PipelineError, match="found a net of kind cilp, which predicts no class; expected one of"
    ):
        load_deployable(checkpoints["cilp"], CPU)


def test_what_is_no_checkpoint_of_ours_is_refused_with_what_to_name(checkpoints, tmp_path):
    for path in (tmp_path, tmp_path / "nowhere.safetensors"):
        with pytest.raises(PipelineError, match="found no file; expected one such as runs/lidar/models"):
            load_deployable(path, CPU)
    weights, about = load_checkpoint(checkpoints["fusion"])
    save_checkpoint(tmp_path / "old.safetensors", weights, {"kind": "fusion", "net": about["net"]})
    with pytest.raises(PipelineError, match="old.safetensors: found a fusion net without the angles of its sensor"):
        load_deployable(tmp_path / "old.safetensors", CPU)


def test_broken_files_are_issues_in_their_place_and_the_rest_is_predicted(checkpoints, raw_folder, tmp_path):
    folder = tmp_path / "data"
    shutil.copytree(raw_folder, folder)
    (folder / "cubes" / "rgb" / "0001.png").write_bytes(b"no picture")
    (folder / "cubes" / "lidar" / "0003.npy").unlink()
    results = list(predict_files(load_deployable(checkpoints["fusion"], CPU), [folder], 4, CPU))
    assert [isinstance(each, Issue) for each in results] == [place in (1, 3) for place in range(12)]
    assert results[1].path.name == "0001.png" and results[3].path.name == "0003.npy"
    whole = list(predict_files(load_deployable(checkpoints["fusion"], CPU), [raw_folder], 4, CPU))
    left, expected = ([each for place, each in enumerate(all_) if place not in (1, 3)] for all_ in (results, whole))
    for one, other in zip(left, expected, strict=True):
        assert one.path.name == other.path.name and one.class_name == other.class_name
        assert one.probability == pytest.approx(other.probability, abs=0.05)


def test_a_sensor_with_other_angles_is_refused(checkpoints, raw_folder, tmp_path):
    folder = tmp_path / "data"
    shutil.copytree(raw_folder, folder)
    for name in ("cubes", "spheres"):
        np.save(folder / name / "azimuth.npy", np.linspace(-0.1, 0.1, 64, dtype=np.float32))
    results = list(predict_files(load_deployable(checkpoints["fusion"], CPU), [folder / "cubes"], 4, CPU))
    assert all(isinstance(each, Issue) and "other angles" in each.found for each in results)
    alone = list(predict_files(load_deployable(checkpoints["lidar"], CPU), [folder / "cubes"], 4, CPU))
    assert all(isinstance(each, Prediction) for each in alone) and len(alone) == 6  # depth needs no angles


def test_a_pair_is_found_once_and_what_fits_nothing_is_an_issue(raw_folder, tmp_path):
    home = raw_folder / "cubes"
    notes = tmp_path / "empty" / "notes.txt"
    notes.parent.mkdir()
    notes.touch()
    given = [home / "rgb/0002.png", home / "lidar/0002.npy", home / "lidar/0004.npy", notes.parent, notes]
    found = list(find_files(given, ("rgb", "lidar")))
    assert found[:2] == [home / "rgb/0002.png", home / "rgb/0004.png"]
    assert len(list(find_files([home / "rgb/0002.png", home, raw_folder], ("rgb",)))) == 12
    assert [each.found for each in find_files([home / "sphere"], ("rgb",))] == ["nothing"]
    assert [each.found for each in found[2:]] == ["no .png file", "a .txt file"]
    assert [each.expected for each in found[2:]] == ["at least one", ".png with .npy"]
    assert list(find_files([home], ("lidar",))) == sorted((home / "lidar").iterdir())  # angle files are no frames
    alone = list(find_files([home / "lidar/0002.npy"], ("rgb",)))
    assert alone[0].expected == ".png"


def test_a_partner_lies_beside_or_where_the_raw_layout_has_it(tmp_path):
    assert counterpart(tmp_path / "rgb" / "0001.png", "lidar") == tmp_path / "lidar" / "0001.npy"
    assert counterpart(tmp_path / "mine" / "0001.png", "lidar") == tmp_path / "mine" / "0001.npy"
    (tmp_path / "rgb").mkdir()
    (tmp_path / "rgb" / "0001.npy").touch()
    assert counterpart(tmp_path / "rgb" / "0001.png", "lidar") == tmp_path / "rgb" / "0001.npy"

"""Files in, classes out: pairing, order, and broken files that cost only themselves."""

import shutil
from pathlib import Path

import numpy as np
import pytest
import torch

from pipeline.core.checkpoints import load_checkpoint, save_checkpoint
from pipeline.core.errors import PipelineError
from pipeline.data.arrays import load_arrays
from pipeline.raw.format import Issue
from pipeline.tools.inference.deployable import load_deployable
from pipeline.tools.inference.files import Prediction, counterpart, find_files, predict_files
from support.checkpoints import LOGITS, write_checkpoints

CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def checkpoints(prepared, tmp_path_factory) -> dict[str, Path]:
    """Write checkpoints of nets whose logits differ between the pairs."""
    return write_checkpoints(tmp_path_factory.mktemp("checkpoints"), load_arrays(prepared, CPU), rescale=True)


@pytest.mark.parametrize("kind", LOGITS)
def test_files_give_what_the_prepared_arrays_give(kind, checkpoints, raw_folder, prepared):
    net = load_deployable(checkpoints[kind], CPU)
    results = list(predict_files(net, [raw_folder], 5, CPU))  # 12 pairs in batches of 5, 5 and 2
    logits = LOGITS[kind](net.module.net, load_arrays(prepared, CPU))
    sphere = [each.probability if each.class_name == "sphere" else 1 - each.probability for each in results]
    np.testing.assert_allclose(sphere, logits.sigmoid(), atol=0.05)  # bfloat16, and batches of another shape
    assert {each.class_name for each in results} == {"cube", "sphere"} and logits.std() > 2
    assert [each.path for each in results] == sorted(each.path for each in results) and len(results) == 12


def test_a_net_that_predicts_no_class_is_refused(checkpoints):
    with pytest.raises(PipelineError, match="found a net of kind cilp, which predicts no class; expected one of"):
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
    paths = [home / "rgb/0002.png", home / "lidar/0002.npy", home / "lidar/0004.npy", notes.parent, notes]
    found = list(find_files(paths, ("rgb", "lidar")))
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

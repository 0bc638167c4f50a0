"""The true run's chain: what its checkpoints hold, what they predict for files, and the course's weights in it."""

import json
import shutil

import onnx
import pandas as pd
import pytest
import torch

from pipeline.core.checkpoints import load_checkpoint, restore
from pipeline.core.device import setup_device
from pipeline.core.files import read_npy, sha256
from pipeline.core.runs import checkpoint_path
from pipeline.data.arrays import Batches, load_arrays
from pipeline.metrics.inference import pair_embeddings
from pipeline.models.cilp import CILP, LidarClassifier
from support.commands import REPRO, TUNINGS, UNTRACKED, read, set_params, shell, stages_run

pytestmark = pytest.mark.slow


def test_evaluate_refuses_figures_that_the_checkpoints_do_not_give(project):
    path = project / "runs" / "cilp" / "metrics.json"
    metrics = json.loads(path.read_text())
    top1 = metrics["top1"]
    path.write_text(json.dumps(metrics | {"top1": top1 + 0.01}))
    output = shell(project, "python -m stages.evaluate", expect=1)
    assert f"runs/cilp: top1 is {top1 + 0.01} in metrics.json, its checkpoints give {top1}" in output


def test_stress_refuses_figures_of_a_cell_that_its_checkpoints_do_not_give(project):
    path = project / "runs" / "fusion" / "late-strided" / "metrics.json"
    metrics = json.loads(path.read_text())
    path.write_text(json.dumps(metrics | {"accuracy": metrics["accuracy"] - 0.01}))
    output = shell(project, "python -m stages.stress late-strided", expect=1)
    assert "runs/fusion/late-strided: accuracy is" in output and "its checkpoints give" in output


def test_untrained_nets_stand_beside_the_courses_points(project):
    evaluated = read(project, "evaluate/metrics.json")
    assert evaluated["assessment"]["untrained"]["points"] == [5, 5]
    assert set(evaluated["untrained"]) == {"lidar", "cilp", "project", "classify"}
    report = (project / "runs" / "report" / "report.md").read_text()
    assert "|untrained|" in report and "|5, 5|" in report


def test_what_is_frozen_is_bit_identical_afterwards(project):
    def weights(run: str) -> dict:
        return load_checkpoint(checkpoint_path(project / "runs" / run, 0))[0]

    tuned, full, cilp, lidar, project_ = map(weights, [*TUNINGS, "cilp", "lidar", "project"])
    frozen = {f"embedder.{name.removeprefix('rgb.')}": value for name, value in cilp.items() if name.startswith("rgb.")}
    frozen |= {f"tail.{name}": value for name, value in lidar.items() if name.startswith("classifier.")}
    assert all(tuned[name].equal(value) for name, value in frozen.items())
    assert set(tuned) == set(frozen) | {f"tail.projector.{name}" for name in project_}
    assert not any(tuned[f"tail.projector.{name}"].equal(value) for name, value in project_.items())
    learnt = [name for name, value in frozen.items() if value.is_floating_point()]
    assert not any(full[name].equal(frozen[name]) for name in learnt if "running" not in name)


def test_the_similarity_matrix_is_rgb_against_lidar(project):
    data = load_arrays(project / "runs" / "prepare" / "arrays", setup_device())
    model = restore(checkpoint_path(project / "runs" / "cilp", 0), "cilp", CILP, data.label.device)
    rgb, lidar = pair_embeddings(model, Batches(data.with_depth, data.scene_pairs("test")[:16]))
    drawn = read_npy(project / "runs" / "cilp" / "similarity.npy")
    assert drawn == pytest.approx((rgb @ lidar.T).numpy(), abs=1e-5)
    assert drawn != pytest.approx((rgb @ rgb.T).numpy(), abs=1e-2)


def test_predict_repeats_evaluate_and_survives_a_broken_file(project, tmp_path):
    split = pd.read_csv(project / "runs/prepare/arrays/split.tsv", sep="\t")
    test = split[split["split"] == "test"]
    pairs = zip(test["class"], test["scene"], strict=True)
    paths = [f"data/{name}/rgb/{scene:04d}.png" for name, scene in pairs]
    for run in ("classify/full", "fusion/late-maxpool"):
        logits = read_npy(project / "runs" / run / "logits.npy")[0]
        expected = ["sphere" if logit > 0 else "cube" for logit in logits]
        checkpoint = f"runs/{run}/models/seed0.safetensors"
        output = shell(project, f"python -m pipeline predict --json --checkpoint {checkpoint} {' '.join(paths)}")
        predictions = [json.loads(line) for line in output.splitlines()]
        assert [each["path"] for each in predictions] == paths and [each["class"] for each in predictions] == expected
    shutil.copytree(project / "data" / "cubes" / "rgb", tmp_path / "pictures")
    (tmp_path / "pictures" / "0007.png").write_bytes(b"broken")
    checkpoint = "runs/classify/full/models/seed0.safetensors"
    output = shell(project, f"python -m pipeline predict --checkpoint {checkpoint} {tmp_path}/pictures", expect=1)
    assert output.count("\tcube\t") + output.count("\tsphere\t") == 39
    assert f"error: {tmp_path}/pictures/0007.png: found " in output and "Traceback" not in output


def test_export_writes_a_file_that_onnx_runtime_runs(project, tmp_path):
    checkpoint = "runs/classify/projector_only/models/seed1.safetensors"
    output = shell(project, f"python -m pipeline export --checkpoint {checkpoint} --out {tmp_path}/model.onnx")
    assert output.startswith(f"{tmp_path}/model.onnx: equals torch within ") and "on 80 real inputs" in output
    metadata = {each.key: each.value for each in onnx.load(tmp_path / "model.onnx").metadata_props}
    assert metadata["git_commit"] == shell(project, "git rev-parse HEAD").strip()
    assert metadata["data_md5"] in (project / "data.dvc").read_text()


def test_weights_of_the_course_replace_the_training_and_one_seed_is_enough(project):
    """Run the whole pipeline on them, with one seed and no few-label counts, which leave no interval and one column."""
    set_params(project, lidar__weights="pretrained/lidar_cnn.pt", seeds=[0], labels__label_counts=[])
    weights = {name: tensor / 10 for name, tensor in LidarClassifier([50, 100, 200, 200], [100]).state_dict().items()}
    path = project / "pretrained" / "lidar_cnn.pt"
    torch.save(weights, path)
    assert "lidar_cnn" not in shell(project, "git status --porcelain")
    assert {"lidar", "evaluate", "report"} <= stages_run(shell(project, f"{UNTRACKED} {REPRO}"))
    metrics = read(project, "lidar/metrics.json")
    assert metrics["weights_sha256"] == sha256(path) and metrics["epochs"] == 0 and metrics["accuracy_ci95"] is None
    state_dict, about = load_checkpoint(checkpoint_path(project / "runs" / "lidar", 0))
    assert all(state_dict[name].equal(value) for name, value in weights.items()) and "depth_mean" not in about["net"]
    assert (project / "runs/report/model_card.md").read_text().count(sha256(path)) == 3
    torch.save({name: tensor + 1 for name, tensor in weights.items()}, path)
    assert "lidar" in stages_run(shell(project, "dvc repro lidar"))  # DVC sees that the file is another
    torch.save({name: value for name, value in weights.items() if name != "embedder.3.bias"}, path)
    before = checkpoint_path(project / "runs" / "lidar", 0).read_bytes()
    output = shell(project, "python -m stages.lidar", expect=1)
    assert "error: pretrained/lidar_cnn.pt: embedder.3.bias is missing" in output and "Traceback" not in output
    assert checkpoint_path(project / "runs" / "lidar", 0).read_bytes() == before
    path.unlink()
    assert "error: pretrained/lidar_cnn.pt: found nothing" in shell(project, "python -m stages.lidar", expect=1)

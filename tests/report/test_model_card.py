"""The model cards from literal metrics."""

import json

import pytest

from pipeline.report.model_card import card_values, limits, model_cards, training_source
from pipeline.report.transfer.nets import FULL, PROJECTOR_ONLY

DATA = {split: {"cubes": 100, "spheres": 100} for split in ("train", "val", "test")} | {
    "cubes": {"returns_min": 149, "returns_max": 490, "depth_min": 17.8, "depth_max": 32.0},
    "spheres": {"returns_min": 101, "returns_max": 231, "depth_min": 18.6, "depth_max": 30.4},
}
METRICS = {"parameters": 906201, "accuracy": 0.99, "accuracy_ci95": 0.01, "chance": 0.5, "precision": "bfloat16"}
NETS = ["fusion/late-maxpool", "lidar", f"classify/{PROJECTOR_ONLY}", f"classify/{FULL}"]


def test_a_card_has_intervals_over_pairs_and_over_seeds():
    values = card_values(METRICS, [0.98, 1.0], DATA)
    # 196 of 200 by Wilson's formula: 0.9497 .. 0.9922
    assert (values["hits"], values["test"], values["accuracy"], values["seeds"]) == (196, 200, 0.98, 2)
    assert (values["low"], values["high"]) == (pytest.approx(0.9497, abs=1e-4), pytest.approx(0.9922, abs=1e-4))
    assert values["mean"] == "0.9900 ± 0.0100"


def test_weights_from_elsewhere_are_named():
    assert training_source(METRICS, DATA).startswith("200 pairs of the training split")
    lidar, chained = (training_source(METRICS | {"weights_sha256": "abc", "epochs": epochs}, DATA) for epochs in (0, 4))
    assert "LiDAR weights with SHA-256 abc, trained elsewhere" in lidar and "training split" not in lidar
    assert "SHA-256 abc" in chained and "training split" in chained


def test_limits_span_both_classes():
    assert limits(DATA) == {"returns_min": 101, "depth_min": 17.8, "returns_max": 490, "depth_max": 32.0}


def test_every_deployable_net_has_a_card(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name in NETS:
        (tmp_path / "runs" / name).mkdir(parents=True)
        (tmp_path / "runs" / name / "metrics.json").write_text(json.dumps(METRICS))
    text = model_cards("late-maxpool", 3, 0, DATA, dict.fromkeys(NETS, [0.98, 1.0]))
    for name in NETS:
        seed = 3 if name == "fusion/late-maxpool" else 0
        assert f"`runs/{name}/models/seed{seed}.safetensors`" in text
    assert text.count("196 of 200 pairs, 0.9800; 95% interval 0.9497 to 0.9922") == 4
    assert text.count("| precision | bfloat16 |") == 4
    assert "906,201" in text and "mean of seeds (2) | 0.9900 ± 0.0100" in text
    assert "101 to 490 LiDAR returns a frame, 17.80 to 32.00 units away" in text

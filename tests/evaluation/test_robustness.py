"""The test pairs under every fault, and the logits of a net whose encoders run apart."""

import pytest
import torch

from pipeline.core.device import build_seeded
from pipeline.data.arrays import load_arrays, to_image_tensor
from pipeline.data.geometry import xyza
from pipeline.evaluation.corruptions import CORRUPTIONS, MISSING_SENSORS
from pipeline.evaluation.robustness import CLEAN, MISMATCHES, build_conditions, condition_logits
from pipeline.models.fusion import FUSIONS, build_fusion

LATE = {"channels": [2, 3], "embed_dim": 4, "head_dims": [5]}
MIDDLE = {"channels": [2, 4], "shared_channels": [3], "head_dims": [5]}
WIDTHS = dict.fromkeys(("rgb", "lidar", "late", "late_frozen"), LATE) | {
    "early": {"channels": [2, 3], "head_dims": [4]}
}
SEVERITIES = {
    "lidar_noise": [0.5],
    "lidar_dropout": [0.5],
    "lidar_beams": [2],
    "lidar_range": [24.0],
    "rgb_dark": [0.3],
    "rgb_noise": [0.2],
    "rgb_blur": [1.0],
    "rgb_colour": [60.0],
}


@pytest.fixture(scope="module")
def data(prepared):
    return load_arrays(prepared, torch.device("cpu"))


@pytest.fixture(scope="module")
def conditions(data):
    return build_conditions(data, data.scene_pairs("train"), SEVERITIES, seed=0)


def test_every_fault_has_one_condition_a_severity(conditions):
    assert [fault for fault, _ in conditions] == [CLEAN, *CORRUPTIONS, *MISSING_SENSORS, *MISMATCHES]
    assert [severity for _, severity in conditions][1:9] == [0.5, 0.5, 2, 24.0, 0.3, 0.2, 1.0, 60.0]


def test_the_clean_pairs_are_the_scene_pairs_in_order(data, conditions):
    rows = data.scene_pairs("train").flatten()
    assert conditions[CLEAN, None].rgb.equal(data.rgb[rows]) and conditions[CLEAN, None].depth.equal(data.depth[rows])


def test_other_scenes_and_other_shapes(data, conditions):
    scene_pairs = data.scene_pairs("train")  # three scenes
    assert conditions["other_scene", None].depth.equal(data.depth[scene_pairs[[1, 2, 0]].flatten()])
    assert conditions["other_shape", None].depth.equal(data.depth[scene_pairs[[1, 2, 0]][:, [1, 0]].flatten()])
    assert conditions["other_shape", None].rgb.equal(conditions[CLEAN, None].rgb)


@pytest.mark.parametrize("fusion", FUSIONS)
def test_encoders_run_apart_give_the_logits_of_the_whole_net(fusion, data, conditions, monkeypatch):
    monkeypatch.setattr("pipeline.core.device.precision", lambda device: torch.float32)
    options = {"num_heads": 2} if fusion == "attention" else {}
    net = build_seeded(0, lambda: build_fusion(fusion, "maxpool", WIDTHS.get(fusion, MIDDLE) | options))
    logits = condition_logits(net.eval(), conditions, data.rays)
    assert logits.shape == (len(conditions), 6)
    for row, frames in zip(logits, conditions.values(), strict=True):
        with torch.no_grad():
            whole = net(to_image_tensor(frames.rgb), xyza(frames.depth, data.rays))
        torch.testing.assert_close(row, whole, atol=1e-5, rtol=1e-4)


def test_equal_seeds_give_equal_conditions_and_others_do_not(data, conditions):
    again = build_conditions(data, data.scene_pairs("train"), SEVERITIES, seed=0)
    other = build_conditions(data, data.scene_pairs("train"), SEVERITIES, seed=1)
    assert again["lidar_dropout", 0.5].depth.equal(conditions["lidar_dropout", 0.5].depth)
    assert not other["lidar_dropout", 0.5].depth.equal(conditions["lidar_dropout", 0.5].depth)

"""params.yaml and its three presets: whole, of one shape, and what they say they are."""

import re
from dataclasses import asdict
from itertools import product
from typing import Any, get_args

import pytest
import yaml

from pipeline.config.params import load_params
from pipeline.config.types import DownsampleName, FusionName
from pipeline.models.cilp import CILP, LidarClassifier, build_projector
from pipeline.models.fusion import build_fusion
from support.commands import ROOT

PRESETS = "smoke", "course", "full"
OPEN = ("matrix", "counts")  # sections whose keys are the preset's own


def keys(section: Any, name: str = "") -> list[str]:
    """Every key by its full name, in order."""
    if not isinstance(section, dict) or name in OPEN:
        return [name]
    return [name, *(f"{name}.{key}" for each in section for key in keys(section[each], each))]


def parameters(module: Any) -> int:
    return sum(parameter.numel() for parameter in module.parameters())


@pytest.mark.parametrize("preset", PRESETS)
def test_a_preset_is_valid_and_has_the_keys_of_params_in_their_order(preset):
    load_params(ROOT / f"{preset}.yaml")
    own, default = (yaml.safe_load((ROOT / f"{name}.yaml").read_text()) for name in (preset, "params"))
    assert keys(own) == keys(default) and "fusion.nets" in " ".join(keys(own))


@pytest.mark.parametrize("preset", PRESETS)
def test_a_preset_says_how_long_it_takes(preset):
    head = (ROOT / f"{preset}.yaml").read_text().split("\n\n")[0]
    assert all(line.startswith("#") for line in head.splitlines())
    assert re.search(r"\b(\d+|an?) (second|minute|hour)s?\b", head), head


def test_course_has_the_published_nets_split_and_epochs():
    params = load_params(ROOT / "course.yaml")
    nets = {name: build_fusion(name, "maxpool", widths) for name, widths in asdict(params.fusion.nets).items()}
    assert {name: parameters(nets[name]) for name in ("rgb", "concat", "add", "hadamard", "matmul")} == {
        "rgb": 13_128_351,
        "concat": 13_015_851,
        "add": 6_615_851,
        "hadamard": 6_615_851,
        "matmul": 6_615_851,
    }
    cilp, project = params.cilp, params.project
    pair = CILP(cilp.channels, cilp.hidden_dims, cilp.embed_dim, cilp.temperature, cilp.norm)
    assert (parameters(pair.rgb), parameters(pair.lidar)) == (927_650, 926_300)
    assert parameters(LidarClassifier(params.lidar.channels, params.lidar.head_dims)) == 906_201
    widths = [200 * 1000 + 1000, 1000 * 500 + 500, 500 * 3200 + 3200]
    assert parameters(build_projector(cilp.embed_dim, project.hidden_dims, 3200)) == sum(widths)
    assert params.prepare.split == "course" and params.prepare.course_scenes == 320
    assert {cell.epochs for cell in params.matrix.values()} == {20}
    assert (cilp.epochs, project.epochs, params.classify.everything.epochs) == (3, 40, 5)
    assert (params.fusion.lr, cilp.lr, project.lr, params.classify.everything.lr) == (1e-4, 1e-4, 1e-3, 1e-3)


def test_full_has_every_fusion_with_every_downsampling_over_five_seeds():
    params = load_params(ROOT / "full.yaml")
    every = product(get_args(FusionName), get_args(DownsampleName))
    assert set(params.matrix) == {"-".join(cell) for cell in every} and len(params.seeds) == 5
    assert set(params.curve.fusions) == set(get_args(FusionName))

"""The presets of the repository: valid, with nothing but differences, and true to their titles."""

import re
from collections.abc import Iterator
from contextlib import chdir
from itertools import product
from typing import Any

import pytest
import yaml

from pipeline.config.params import parse_params
from pipeline.models.blocks import DOWNSAMPLE
from pipeline.models.cilp import CILP, LidarClassifier, build_projector
from pipeline.models.fusion import FUSIONS, build_fusion, check_widths
from pipeline.tools.presets import default_params
from support.commands import ROOT
from support.presets import preset_params

PRESETS = sorted(path.stem for path in (ROOT / "presets").iterdir())


def parameters(module: Any) -> int:
    return sum(parameter.numel() for parameter in module.parameters())


def values(section: dict, name: str = "") -> Iterator[tuple[str, Any]]:
    """Return every value by its full key."""
    for key, value in section.items():
        if isinstance(value, dict):
            yield from values(value, f"{name}{key}.")
        else:
            yield name + key, value


def test_the_presets_are_known_and_lie_nowhere_else():
    assert PRESETS == ["course", "full", "published", "smoke"] and not [*ROOT.glob("smoke*"), *ROOT.glob("course*")]


@pytest.mark.parametrize("preset", PRESETS)
def test_a_preset_is_valid_and_every_fusion_gets_its_widths(preset):
    params = parse_params(preset_params(preset), preset)
    for fusion, widths in params.fusion.nets.items():
        check_widths(fusion, widths)


@pytest.mark.parametrize("preset", PRESETS)
def test_a_preset_holds_only_what_differs(preset):
    with chdir(ROOT):
        default = dict(values(yaml.safe_load(default_params())))
    own = dict(values(yaml.safe_load((ROOT / "presets" / f"{preset}.yaml").read_text())))
    assert own and not [key for key, value in own.items() if key in default and default[key] == value]


@pytest.mark.parametrize("preset", PRESETS)
def test_a_preset_states_its_time(preset):
    head = (ROOT / "presets" / f"{preset}.yaml").read_text().split("\n\n")[0]
    assert all(line.startswith("#") for line in head.splitlines())
    assert re.search(r"\b(\d+|an?) (second|minute|hour)s?\b", head, re.I), head


def test_smoke_is_small():
    params = parse_params(preset_params("smoke"), "smoke")
    assert list(params.matrix) == ["late-maxpool", "concat-maxpool", "rgb-maxpool", "late-strided"]
    assert {cell.epochs for cell in params.matrix.values()} == {1} and len(params.seeds) == 2
    assert max(params.cilp.epochs, params.project.epochs) <= 2


def test_course_has_the_published_nets_split_and_epochs():
    params = parse_params(preset_params("course"), "course")
    nets = {name: build_fusion(name, "maxpool", widths) for name, widths in params.fusion.nets.items()}
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
    assert (cilp.epochs, project.epochs, params.classify.full.epochs) == (3, 40, 5)
    assert (params.fusion.lr, cilp.lr, project.lr, params.classify.full.lr) == (1e-4, 1e-4, 1e-3, 1e-3)


def test_published_has_the_nets_of_the_public_solutions():
    params = parse_params(preset_params("published"), "published")
    expected = {
        "rgb": 707_626,
        "lidar": 707_626,
        "late": 1_415_051,
        "concat": 914_201,
        "add": 824_201,
        "hadamard": 824_201,
    }
    for downsample in ("maxpool", "strided"):
        nets = {name: build_fusion(name, downsample, params.fusion.nets[name]) for name in expected}
        assert {name: parameters(net) for name, net in nets.items()} == expected
    assert {cell.fusion for cell in params.matrix.values()} == set(params.curve.fusions) == set(expected)
    cilp = params.cilp
    pair = CILP(cilp.channels, cilp.hidden_dims, cilp.embed_dim, cilp.temperature, cilp.norm)
    assert (parameters(pair.rgb), parameters(pair.lidar)) == (927_650, 926_300)
    assert parameters(LidarClassifier(params.lidar.channels, params.lidar.head_dims)) == 906_201


def test_full_has_every_fusion_with_every_downsampling_over_five_seeds():
    params = parse_params(preset_params("full"), "full")
    every = product(FUSIONS, DOWNSAMPLE)
    assert set(params.matrix) == {"-".join(cell) for cell in every} and len(params.seeds) == 5
    assert set(params.curve.fusions) == set(FUSIONS)

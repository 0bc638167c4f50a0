import re
from collections.abc import Callable
from pathlib import Path
from typing import Any, get_args

import pytest
import yaml

from pipeline.config.errors import RENAMED
from pipeline.config.params import Params, load_params
from pipeline.config.types import DownsampleName, NormName, TuningName
from pipeline.core.errors import PipelineError
from pipeline.models.blocks import DOWNSAMPLE, NORM
from pipeline.models.fusion import FUSIONS
from pipeline.transfer.tuning import TUNINGS
from support.presets import preset_params

Edit = Callable[[dict], None]


def put(name: str, value: Any) -> Edit:
    def edit(params: dict) -> None:
        *sections, key = name.split(".")
        for section in sections:
            params = params[section]
        params[key] = value

    return edit


def without(name: str) -> Edit:
    def edit(params: dict) -> None:
        *sections, key = name.split(".")
        for section in sections:
            params = params[section]
        del params[key]

    return edit


@pytest.fixture
def edited(tmp_path: Path) -> Callable[[Edit], Params]:
    """Load the parameters of the smoke preset after an edit."""

    def edited(edit: Edit) -> Params:
        params = yaml.safe_load(preset_params("smoke"))
        edit(params)
        (tmp_path / "params.yaml").write_text(yaml.safe_dump(params, sort_keys=False))
        return load_params(tmp_path / "params.yaml")

    return edited


def test_the_repositorys_params_load(edited: Callable[[Edit], Params]) -> None:
    params = edited(lambda _: None)
    assert params.fusion.lr == 3e-3 and params.seeds == [0, 1]
    assert list(params.matrix)[0] == "late-maxpool" and params.matrix["late-strided"].downsample == "strided"


def test_names_are_those_of_the_models(edited: Callable[[Edit], Params]) -> None:
    assert tuple(edited(lambda _: None).fusion.nets) == tuple(FUSIONS)
    assert get_args(DownsampleName) == tuple(DOWNSAMPLE)
    assert get_args(NormName) == tuple(NORM) and get_args(TuningName) == tuple(TUNINGS)


ERRORS = {
    "unknown section": (put("fuison", {}), "fuison is not a known key"),
    "unknown key": (put("fusion.momentum", 0.9), "fusion.momentum is not a known key"),
    "unknown nested key": (put("fusion.nets.add.embed", 100), "fusion.nets.add.embed is not a known key"),
    "missing section": (without("lidar"), "lidar is missing: add it"),
    "missing key": (without("fusion.lr"), "fusion.lr is missing: add it"),
    "missing nested key": (without("fusion.nets.late.head_dims"), "fusion.nets.late.head_dims is missing: add it"),
    "empty section": (put("cilp", None), "cilp is None: expected a section of keys"),
    "a net without widths": (put("fusion.nets.late", [64]), "fusion.nets.late is [64]: expected a section of keys"),
    "no nets": (put("fusion.nets", {}), "fusion.nets is {}: Dictionary should have at least 1 item"),
    "another precision": (
        put("precision", "float16"),
        "precision is 'float16': Input should be 'auto', 'float32' or 'bfloat16'",
    ),
    "missing precision": (without("precision"), "precision is missing: add it"),
    "text for a whole number": (
        put("lidar.batch_size", "many"),
        "lidar.batch_size is 'many': Input should be a valid integer",
    ),
    "broken for a whole number": (put("cilp.epochs", 2.5), "cilp.epochs is 2.5: Input should be a valid integer"),
    "bool for a whole number": (
        put("fusion.batch_size", True),
        "fusion.batch_size is True: Input should be a valid integer",
    ),
    "bool for a number": (put("fusion.lr", True), "fusion.lr is True: expected a number"),
    "bool for a share": (put("fusion.warmup_fraction", False), "fusion.warmup_fraction is False: expected a number"),
    "text for a number": (put("fusion.lr", "fast"), "fusion.lr is 'fast': Input should be a valid number"),
    "lr 0": (put("project.lr", 0), "project.lr is 0: Input should be greater than 0"),
    "lr infinite": (put("project.lr", float("inf")), "project.lr is inf: Input should be a finite number"),
    "warm-up to the end": (
        put("fusion.warmup_fraction", 1.0),
        "fusion.warmup_fraction is 1.0: Input should be less than 1",
    ),
    "no epochs": (put("matrix.late-strided.epochs", 0), "matrix.late-strided.epochs is 0: Input should be greater"),
    "a net without branch": (put("lidar.channels", []), "lidar.channels is []: List should have at least 1 item"),
    "a net deeper than 64 pixels": (
        put("lidar.channels", [8] * 7),
        "lidar.channels is [8, 8, 8, 8, 8, 8, 8]: List should",
    ),
    "shares above 1": (put("prepare.fractions.val", 0.3), "train + val + test is 1.2, expected 1"),
    "unknown split": (
        put("prepare.split", "pairs"),
        "prepare.split is 'pairs': Input should be 'scene', 'course' or 'stratified'",
    ),
    "unknown fusion": (
        put("matrix.late-maxpool.fusion", "mul"),
        "matrix.late-maxpool.fusion is 'mul': expected a key of fusion.nets, which are rgb, lidar, early, late, "
        "late_frozen, concat, add, hadamard, matmul, gated, attention",
    ),
    "an unknown downsampling": (
        put("matrix.late-maxpool.downsample", "pooled"),
        "matrix.late-maxpool.downsample is 'pooled': Input should be 'maxpool', 'strided' or 'strided_extra'",
    ),
    "a cell under another's name": (
        put("matrix.late-maxpool.fusion", "add"),
        "matrix.late-maxpool is a cell of add with maxpool: call it add-maxpool",
    ),
    "no cells": (put("matrix", {}), "matrix is {}: Dictionary should have at least 1 item"),
    "a cell without epochs": (without("matrix.late-strided.epochs"), "matrix.late-strided.epochs is missing: add it"),
    "a gradient of no length": (
        put("fusion.grad_clip_norm", 0),
        "fusion.grad_clip_norm is 0: Input should be greater than 0",
    ),
    "heads that do not share": (
        put("fusion.nets.attention.num_heads", 5),
        "'num_heads': 5}: 32 channels cannot be shared evenly among 5 heads",
    ),
    "a point of the curve twice": (put("curve.scenes", [4, 4]), "curve.scenes is [4, 4]: expected each of them once"),
    "an unknown fusion in the curve": (
        put("curve.fusions", ["mul"]),
        "curve.fusions.0 is 'mul': expected a key of fusion.nets, which are rgb, lidar,",
    ),
    "a fault without severity": (
        put("stress.faults.rgb_dark", []),
        "stress.faults.rgb_dark is []: List should have at",
    ),
    "more than all returns lost": (
        put("stress.faults.lidar_dropout", [0.5, 1.5]),
        "stress.faults.lidar_dropout.1 is 1.5: Input should be less than or equal to 1",
    ),
    "half a beam": (
        put("stress.faults.lidar_beams", [2.5]),
        "stress.faults.lidar_beams.0 is 2.5: Input sho",
    ),
    "an unknown fault": (put("stress.faults.fog", [1]), "stress.faults.fog is not a known key"),
    "weights DVC does not watch": (
        put("lidar.weights", "/home/me/lidar_cnn.pt"),
        "lidar.weights is '/home/me/lidar_cnn.pt': expected null or a file in pretrained/: copy it there",
    ),
    "the folder for weights": (put("lidar.weights", "pretrained"), "lidar.weights is 'pretrained': expected null or"),
    "an odd number of labels": (
        put("labels.label_counts", [10, 7]),
        "labels.label_counts.1 is 7: Input should be a multiple of 2",
    ),
    "an unknown norm": (put("cilp.norm", "layer"), "cilp.norm is 'layer': Input should be 'none' or 'batch'"),
    "an odd CILP batch": (put("cilp.batch_size", 33), "cilp.batch_size is 33: Input should be a multiple of 2"),
    "a tuning without epochs": (without("classify.full.epochs"), "classify.full.epochs is missing: add it"),
    "no seeds": (put("seeds", []), "seeds is []: List should have at least 1 item"),
    "a seed twice": (put("seeds", [0, 1, 0]), "seeds is [0, 1, 0]: expected each of them once"),
    "a negative seed": (put("seeds", [0, -1]), "seeds.1 is -1: Input should be greater than or equal to 0"),
    "a seed too large for torch": (put("prepare.seed", 2**63), "prepare.seed is 9223372036854775808: Input should be"),
}


@pytest.mark.parametrize("edit, expected", ERRORS.values(), ids=ERRORS)
def test_an_error_names_its_full_key(edited: Callable[[Edit], Params], edit: Edit, expected: str) -> None:
    with pytest.raises(PipelineError) as caught:
        edited(edit)
    message = str(caught.value)
    assert "params.yaml: " in message and expected in message and "\n" not in message and "[key]" not in message


def test_all_errors_are_listed_at_once(edited: Callable[[Edit], Params]) -> None:
    def misspell(params: dict) -> None:
        params["fusion"]["learning_rate"] = params["fusion"].pop("lr")

    with pytest.raises(PipelineError, match=r"fusion\.lr is missing.*; fusion\.learning_rate is not a known key"):
        edited(misspell)


@pytest.mark.parametrize("written", ["0.00001", "1e-05", "1.0e-5"])  # DVC writes the second for `-S fusion.lr=1e-5`
def test_a_learning_rate_loads_however_it_is_written(tmp_path: Path, written: str) -> None:
    text = preset_params("smoke").replace("lr: 3.0e-3", f"lr: {written}", 1)
    (tmp_path / "params.yaml").write_text(text)
    assert load_params(tmp_path / "params.yaml").fusion.lr == 1e-5


BROKEN = {"bracket": b"seeds: [0, 1", "tab": b"fusion:\n\tlr: 1", "no text": b"\xff\xfe\x00"}


@pytest.mark.parametrize("content", BROKEN.values(), ids=BROKEN)
def test_broken_yaml_is_one_line(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "params.yaml").write_bytes(content)
    with pytest.raises(PipelineError, match=r"params\.yaml: not valid YAML: [^\n]+$"):
        load_params(tmp_path / "params.yaml")


def test_an_empty_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "params.yaml").touch()
    with pytest.raises(PipelineError, match=r"params\.yaml: the file is None: expected a section of keys"):
        load_params(tmp_path / "params.yaml")


def test_a_missing_file_is_one_line(tmp_path: Path) -> None:
    with pytest.raises(PipelineError, match=r"params\.yaml: not found; run from the top"):
        load_params(tmp_path / "params.yaml")


def test_nets_that_would_halve_the_last_pixel_are_refused(edited: Callable[[Edit], Params]) -> None:
    deep = {"channels": [5], "shared_channels": [5, 5, 5, 5, 5, 5], "head_dims": [64]}
    with pytest.raises(PipelineError, match="fusion.nets.concat.*over 6 widths"):
        edited(put("fusion.nets.concat", deep))


# --- the nearest known key

NEAREST = {
    "fusion.batches": "fusion.batch_size",
    "fusion.learning_rates": None,
    "matrix.late-maxpool.epoch": "matrix.late-maxpool.epochs",
    "prepare.fractions.vall": "prepare.fractions.val",
    "fuison": "fusion",
    "fusion.clip": "fusion.grad_clip_norm",
    "fusion.nets.attention.heads": "fusion.nets.attention.num_heads",
    "fusion.nets.late.branch": "fusion.nets.late.channels",
    "lidar.head": "lidar.head_dims",
    "cilp.hidden": "cilp.hidden_dims",
    "classify.everything": "classify.full",
    "curve.steps": "curve.min_steps_per_epoch",
    "prepare.counts": "prepare.scene_counts",
    "labels.counts": "labels.label_counts",
}


@pytest.mark.parametrize("found, known", NEAREST.items())
def test_an_unknown_key_suggests_the_nearest_known_one(
    edited: Callable[[Edit], Params], found: str, known: str | None
) -> None:
    hint = f": did you mean {known}?" if known else ": remove it or fix the spelling"
    with pytest.raises(PipelineError, match=re.escape(f"params.yaml: {found} is not a known key{hint}") + "$"):
        edited(put(found, 1))


def test_a_renamed_key_is_one_error_and_a_wrong_value_another(edited: Callable[[Edit], Params]) -> None:
    def rename(params: dict) -> None:
        params["fusion"]["batch"] = params["fusion"].pop("batch_size")
        params["cilp"] |= {"batch": 32, "batch_size": 33}

    expected = (
        "cilp.batch_size is 33: Input should be a multiple of 2; "
        "fusion.batch, cilp.batch are not known keys: did you mean batch_size?"
    )
    with pytest.raises(PipelineError, match=re.escape(f"params.yaml: {expected}") + "$"):
        edited(rename)


def test_every_suggestion_for_an_old_name_is_a_key_of_today() -> None:
    keys = set(re.findall(r"(?:^|[{,]) *(\w+):", re.sub("#.*", "", preset_params("smoke")), re.M))
    assert {new for names in RENAMED.values() for new in names} <= keys and not set(RENAMED) & keys

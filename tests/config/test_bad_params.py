"""Values that params.yaml must not hold: each is one printable line of its key, its value and what is allowed."""

from pathlib import Path
from typing import Any

import pytest
import yaml

from pipeline.config.params import load_params, parse_params
from pipeline.core.errors import PipelineError
from support.presets import preset_params

CELL = {"fusion": "late", "downsample": "maxpool", "epochs": 1}
BAD = [
    ("seeds", "0, 1", "seeds is '0, 1': Input should be a valid list"),
    ("seeds", 3, "seeds is 3: Input should be a valid list"),
    ("seeds", [0.5], "seeds.0 is 0.5: Input should be a valid integer"),
    ("seeds", [True], "seeds.0 is True: Input should be a valid integer"),
    ("seeds", [None], "seeds.0 is None: Input should be a valid integer"),
    (
        "fusion.seeds",
        [9223372036854775808],
        "fusion.seeds.0 is 9223372036854775808: Input should be less than 9223372036854775808",
    ),
    ("precision", 32, "precision is 32: Input should be 'auto', 'float32' or 'bfloat16'"),
    ("precision", None, "precision is None: Input should be 'auto', 'float32' or 'bfloat16'"),
    ("matrix", [], "matrix is []: expected a section of keys"),
    ("matrix.$(touch pwned)", CELL, "matrix.$(touch pwned) is a cell of late with maxpool: call it late-maxpool"),
    ("matrix.two words", CELL, "matrix.two words is a cell of late with maxpool: call it late-maxpool"),
    ("matrix.it's", CELL, "matrix.it's is a cell of late with maxpool: call it late-maxpool"),
    ('matrix.a"b', CELL, 'matrix.a"b is a cell of late with maxpool: call it late-maxpool'),
    ("matrix.a\nb", CELL, "matrix.a\\nb is a cell of late with maxpool: call it late-maxpool"),
    ("matrix.\x1b[31mred", CELL, "matrix.\\x1b[31mred is a cell of late with maxpool: call it late-maxpool"),
    ("matrix.../../data", CELL, "matrix.../../data is a cell of late with maxpool: call it late-maxpool"),
    ("matrix.", CELL, "matrix. is a cell of late with maxpool: call it late-maxpool"),
    (
        "matrix.late-maxpool.fusion",
        "$(touch pwned)",
        "matrix.late-maxpool.fusion is '$(touch pwned)': expected a key of fusion.nets, which are rgb, lidar, early, "
        "late, late_frozen, concat, add, hadamard, matmul, gated, attention",
    ),
    (
        "matrix.late-maxpool.epochs",
        1000000000000,
        "matrix.late-maxpool.epochs is 1000000000000: Input should be less than or equal to 1000000",
    ),
    ("matrix.late-maxpool.epochs", "3", "matrix.late-maxpool.epochs is '3': Input should be a valid integer"),
    ("matrix.late-maxpool", None, "matrix.late-maxpool is None: expected a section of keys"),
    ("matrix.late-maxpool", [1, 2], "matrix.late-maxpool is [1, 2]: expected a section of keys"),
    (
        "prepare.fractions",
        {"train": 1, "val": 0, "test": 0},
        "prepare.fractions.train is 1: Input should be less than 1; prepare.fractions.val is 0: "
        "Input should be greater than 0; prepare.fractions.test is 0: Input should be greater than 0",
    ),
    ("prepare.fractions.train", -0.7, "prepare.fractions.train is -0.7: Input should be greater than 0"),
    ("prepare.fractions.train", float("nan"), "prepare.fractions.train is nan: Input should be greater than 0"),
    (
        "prepare.scene_counts",
        {"train": 1, "val": 0, "test": 1},
        "prepare.scene_counts.val is 0: Input should be greater than 0",
    ),
    ("prepare.scene_counts", 100, "prepare.scene_counts is 100: expected a section of keys"),
    ("prepare.course_scenes", 0, "prepare.course_scenes is 0: Input should be greater than 0"),
    ("prepare.strata", -8, "prepare.strata is -8: Input should be greater than 0"),
    ("prepare.on_error", "ignore", "prepare.on_error is 'ignore': Input should be 'stop' or 'skip'"),
    ("prepare.seed", 1.5, "prepare.seed is 1.5: Input should be a valid integer"),
    ("fusion.lr", float("nan"), "fusion.lr is nan: Input should be a finite number"),
    ("fusion.lr", 1e308, "fusion.lr is 1e+308: Input should be less than or equal to 1000000"),
    ("fusion.lr", -0.001, "fusion.lr is -0.001: Input should be greater than 0"),
    ("fusion.lr", "", "fusion.lr is '': Input should be a valid number, unable to parse string as a number"),
    ("fusion.lr", [0.001, 0.0001], "fusion.lr is [0.001, 0.0001]: Input should be a valid number"),
    (
        "fusion.batch_size",
        1000000000000000000000000000000,
        "fusion.batch_size is 1000000000000000000000000000000: Input should be less than or equal to 1000000",
    ),
    ("fusion.batch_size", 0, "fusion.batch_size is 0: Input should be greater than 0"),
    ("fusion.batch_size", "16", "fusion.batch_size is '16': Input should be a valid integer"),
    ("fusion.warmup_fraction", -0.1, "fusion.warmup_fraction is -0.1: Input should be greater than or equal to 0"),
    ("fusion.schedule", "linear", "fusion.schedule is 'linear': Input should be 'cosine' or 'constant'"),
    (
        "fusion.grad_clip_norm",
        "none",
        "fusion.grad_clip_norm is 'none': Input should be a valid number, unable to parse string as a number",
    ),
    (
        "fusion.nets.late.channels",
        [],
        "fusion.nets.late.channels is []: List should have at least 1 item after validation, not 0",
    ),
    (
        "fusion.nets.late.channels",
        [1000000000],
        "fusion.nets.late.channels.0 is 1000000000: Input should be less than or equal to 1000000",
    ),
    ("fusion.nets.late.channels", [8, 0], "fusion.nets.late.channels.1 is 0: Input should be greater than 0"),
    ("fusion.nets.late.channels", 8, "fusion.nets.late.channels is 8: Input should be a valid list"),
    ("fusion.nets.late.embed_dim", -1, "fusion.nets.late.embed_dim is -1: Input should be greater than 0"),
    ("curve.scenes", [], "curve.scenes is []: List should have at least 1 item after validation, not 0"),
    ("curve.scenes", ["$(touch pwned)"], "curve.scenes.0 is '$(touch pwned)': Input should be a valid integer"),
    ("curve.scenes", ["../../data"], "curve.scenes.0 is '../../data': Input should be a valid integer"),
    (
        "curve.scenes",
        [1000000000000000000000000000000],
        "curve.scenes.0 is 1000000000000000000000000000000: Input should be less than or equal to 1000000",
    ),
    ("curve.epochs", -2, "curve.epochs is -2: Input should be greater than 0"),
    ("stress.scenes", 0, "stress.scenes is 0: Input should be greater than 0"),
    (
        "stress.faults.rgb_blur",
        [1000000000.0],
        "stress.faults.rgb_blur.0 is 1000000000.0: Input should be less than or equal to 1000000",
    ),
    ("stress.faults.rgb_dark", [0], "stress.faults.rgb_dark.0 is 0: Input should be greater than 0"),
    (
        "stress.faults.lidar_noise",
        ["loud"],
        "stress.faults.lidar_noise.0 is 'loud': Input should be a valid number, unable to parse string as a number",
    ),
    ("stress.faults.lidar_beams", [2, 2], "stress.faults.lidar_beams is [2, 2]: expected each of them once"),
    (
        "lidar.weights",
        "../lidar_cnn.pt",
        "lidar.weights is '../lidar_cnn.pt': expected null or a file in pretrained/: "
        "copy it there, where DVC sees it change",
    ),
    (
        "lidar.weights",
        "pretrained/../../x.pt",
        "lidar.weights is 'pretrained/../../x.pt': expected null or a file in pretrained/: "
        "copy it there, where DVC sees it change",
    ),
    ("lidar.weights", 7, "lidar.weights is 7: Input should be a valid string"),
    (
        "lidar.weights",
        "",
        "lidar.weights is '': expected null or a file in pretrained/: copy it there, where DVC sees it change",
    ),
    ("cilp.temperature", 0, "cilp.temperature is 0: Input should be greater than or equal to 0.01"),
    ("cilp.temperature", 1e308, "cilp.temperature is 1e+308: Input should be less than or equal to 100"),
    ("cilp.temperature", 0.001, "cilp.temperature is 0.001: Input should be greater than or equal to 0.01"),
    ("cilp.batch_size", 1, "cilp.batch_size is 1: Input should be a multiple of 2"),
    ("cilp.embed_dim", 1000000000, "cilp.embed_dim is 1000000000: Input should be less than or equal to 1000000"),
    ("cilp.norm", None, "cilp.norm is None: Input should be 'none' or 'batch'"),
    ("project.hidden_dims", [0], "project.hidden_dims.0 is 0: Input should be greater than 0"),
    (
        "classify.full.lr",
        "1e",
        "classify.full.lr is '1e': Input should be a valid number, unable to parse string as a number",
    ),
    ("labels.label_counts", [0], "labels.label_counts.0 is 0: Input should be greater than or equal to 2"),
    ("labels.label_counts", [10, 10], "labels.label_counts is [10, 10]: expected each of them once"),
    ("labels.label_counts", 10, "labels.label_counts is 10: Input should be a valid list"),
    ("labels.min_steps_per_epoch", 0, "labels.min_steps_per_epoch is 0: Input should be greater than 0"),
]


def find_error(text: str) -> str:
    with pytest.raises(PipelineError) as refusal:
        parse_params(text, "params.yaml")
    return str(refusal.value)


@pytest.fixture(scope="module")
def defaults() -> str:
    return preset_params("smoke")


@pytest.mark.parametrize("key, value, expected", BAD)
def test_a_bad_value_is_one_line(defaults: str, key: str, value: Any, expected: str) -> None:
    params = yaml.safe_load(defaults)
    if value is CELL:  # under a name that may hold dots
        params["matrix"][key.removeprefix("matrix.")] = value
    else:
        *sections, name = key.split(".")
        place = params
        for section in sections:
            place = place[section]
        place[name] = value
    message = find_error(yaml.safe_dump(params, sort_keys=False))
    assert message == f"params.yaml: {expected}" and message.isprintable()


def test_more_seeds_than_fit_into_memory_are_refused_in_a_short_line(defaults: str) -> None:
    params = yaml.safe_load(defaults)
    params["seeds"] = list(range(1001))
    message = find_error(yaml.safe_dump(params))
    assert message.startswith("params.yaml: seeds is [0, 1, 2, 3, ") and len(message) < 300
    assert message.endswith("...: List should have at most 1000 items after validation, not 1001")


@pytest.mark.parametrize("text", ["seeds: " + "9" * 5000, "seeds: 2024-99-99", "seeds: " + "[" * 5000])
def test_text_that_the_reader_of_yaml_cannot_take_is_one_line(text: str) -> None:
    message = find_error(text)
    assert message.startswith("params.yaml: not valid YAML: ") and message.isprintable()


def test_a_key_that_stands_twice_is_named_with_both_lines(defaults: str) -> None:
    twice = f"{defaults}seeds: [1]\n".splitlines()
    (first,) = (number for number, line in enumerate(twice[:-1], 1) if line.startswith("seeds:"))
    expected = f"in line {first} and in line {len(twice)}; expected it once; remove one of the two"
    assert find_error("\n".join(twice)) == f"params.yaml: not valid YAML: seeds stands {expected}"
    assert find_error("fusion:\n  nets:\n    late: 1\n    late: 2\n") == (
        "params.yaml: not valid YAML: fusion.nets.late stands in line 3 and in line 4; expected it once; remove one of "
        "the two"
    )


ALIASES = "a: &a [1, 1, 1, 1, 1, 1, 1, 1]\nb: &b [*a, *a, *a, *a, *a, *a, *a, *a]\n"
ALIASES += "c: &c [*b, *b, *b, *b, *b, *b, *b, *b]\nd: &d [*c, *c, *c, *c, *c, *c, *c, *c]\n"
ALIASES += "e: &e [*d, *d, *d, *d, *d, *d, *d, *d]\nf: [*e, *e, *e, *e, *e, *e, *e, *e]\n"


@pytest.mark.parametrize("text, place", [(ALIASES, "f, line 6"), ("a:\n  b: &b\n  - *b\n", "a.b, line 2")])
def test_aliases_without_end_are_refused_by_key_and_line(text: str, place: str) -> None:
    assert find_error(text) == (
        f"params.yaml: not valid YAML: {place}: found aliases that make over 100,000 values; expected fewer; write the "
        "values out"
    )


def test_an_alias_stands_for_its_value(defaults: str) -> None:
    text = defaults.replace("seeds: [0, 1] ", "seeds: &seeds [0, 1] ", 1).replace(
        "  seeds: [0, 1] ", "  seeds: *seeds ", 1
    )
    assert "*seeds" in text and parse_params(text, "params.yaml") == parse_params(defaults, "params.yaml")


def test_a_file_that_is_too_large_is_not_read(tmp_path: Path) -> None:
    (tmp_path / "params.yaml").write_text("#" * 100_001)
    with pytest.raises(PipelineError, match="params.yaml: found over 100,000 bytes, expected a tenth of them; `git re"):
        load_params(tmp_path / "params.yaml")

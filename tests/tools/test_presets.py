"""`python -m pipeline preset`: what it writes, what it refuses, and that nothing is lost."""

import shutil
from pathlib import Path

import pytest
import yaml

from pipeline.config.params import load_params
from pipeline.core.errors import PipelineError
from pipeline.tools.presets import apply_preset, default_params, merge_preset, write_preset
from support.commands import ROOT, shell
from support.presets import preset_params

PARAMS = Path("params.yaml")
EDIT = "# an edit\n"


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The default parameters and the presets, without Git."""
    shutil.copytree(ROOT / "presets", tmp_path / "presets")
    monkeypatch.chdir(ROOT)
    (tmp_path / "params.yaml").write_text(default_params())
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path.parent))
    return tmp_path


@pytest.fixture
def repository(folder: Path) -> Path:
    """These files in a commit."""
    shell(folder, "git init -q . && git add -A && git commit -qm all")
    return folder


def test_a_preset_is_merged_by_key_and_the_matrix_names_its_cells(folder: Path) -> None:
    cell = {"fusion": "early", "downsample": "strided", "epochs": 3}
    preset = {
        "seeds": [7],
        "matrix": {"add-strided": {"epochs": 9}, "rgb-maxpool": {}, "early-strided": cell},
        "fusion": {"nets": {"late": {"embed_dim": 5}}},
        "prepare": {"scene_counts": {"train": 7, "val": 2, "test": 1}},
    }
    (folder / "presets" / "own.yaml").write_text(yaml.safe_dump(preset, sort_keys=False))
    before, after = (yaml.safe_load(text) for text in (default_params(), merge_preset(default_params(), "own", "")))
    assert after["seeds"] == [7] and after["prepare"] == before["prepare"] | preset["prepare"]
    assert list(after["matrix"].items()) == [
        ("add-strided", before["matrix"]["add-strided"] | {"epochs": 9}),
        ("rgb-maxpool", before["matrix"]["rgb-maxpool"]),
        ("early-strided", cell),
    ]
    assert after["fusion"]["nets"]["late"] == before["fusion"]["nets"]["late"] | {"embed_dim": 5}
    assert after["fusion"]["nets"]["add"] == before["fusion"]["nets"]["add"] and after["cilp"] == before["cilp"]


@pytest.mark.parametrize("preset", ["smoke", "course", "full", "published"])
def test_comments_and_the_order_of_keys_are_kept(folder: Path, preset: str) -> None:
    default = default_params()
    title, merged = merge_preset(default, preset, "").split("\n", 1)
    comments = [[line.split("#", 1)[1] for line in text.splitlines() if "#" in line] for text in (default, merged)]
    assert comments[0] == comments[1] and title.startswith(f"# Preset {preset}: presets/{preset}.yaml merged over")
    blank = [text.count("\n\n") for text in (default, merged)]
    assert blank[0] == blank[1] and list(yaml.safe_load(default)) == list(yaml.safe_load(merged))
    assert "\n  rgb-maxpool: {fusion: rgb, downsample: maxpool, epochs: " in merged  # cells stay on their lines
    assert "strided:\n" not in merged and "grad_clip_norm: null\n" in merged and "lr: 1.0e-3\n" in merged


def test_params_are_written_and_git_brings_them_back(repository: Path) -> None:
    way_back = apply_preset("course")
    assert way_back == "git restore params.yaml" and way_back in PARAMS.read_text().splitlines()[0]
    assert load_params().prepare.split == "course" and {cell.epochs for cell in load_params().matrix.values()} == {20}
    shell(repository, way_back)
    assert not shell(repository, "git status --porcelain")


def test_presets_may_follow_each_other_and_themselves(repository: Path) -> None:
    apply_preset("course")
    apply_preset("course")
    apply_preset("full")
    assert PARAMS.read_text().split("\n", 1)[1] == preset_params("full").split("\n", 1)[1]


@pytest.mark.parametrize("first", ["", "course"])
def test_an_edit_that_git_does_not_have_is_not_overwritten(repository: Path, first: str) -> None:
    if first:
        apply_preset(first)
    edited = PARAMS.read_text() + EDIT
    PARAMS.write_text(edited)
    with pytest.raises(PipelineError, match=r"^params\.yaml: found changes that are not in Git, .*`git restore params"):
        apply_preset("smoke")
    assert PARAMS.read_text() == edited
    shell(repository, "git commit -qam edit")
    apply_preset("smoke")
    shell(repository, "git restore params.yaml")
    assert PARAMS.read_text() == edited


def test_a_preset_is_never_merged_over_another_one_that_was_committed(repository: Path) -> None:
    apply_preset("course")
    shell(repository, "git commit -qam course")
    apply_preset("smoke")
    assert PARAMS.read_text().split("\n", 1)[1] == preset_params("smoke").split("\n", 1)[1]


def test_without_git_the_default_is_kept_in_a_file(folder: Path) -> None:
    default = PARAMS.read_text()
    assert apply_preset("course") == "mv params.default.yaml params.yaml"
    assert Path("params.default.yaml").read_text() == default
    apply_preset("smoke")
    assert load_params().seeds == [0, 1] and Path("params.default.yaml").read_text() == default
    edited = PARAMS.read_text() + EDIT
    PARAMS.write_text(edited)
    with pytest.raises(PipelineError, match="params.yaml: found an edit that neither Git nor params.default.yaml"):
        apply_preset("course")
    assert PARAMS.read_text() == edited and Path("params.default.yaml").read_text() == default


def test_without_git_two_different_defaults_are_refused(folder: Path) -> None:
    default = PARAMS.read_text()
    Path("params.default.yaml").write_text(default + EDIT)
    with pytest.raises(PipelineError, match="params.yaml: found an edit that neither Git nor params.default.yaml"):
        apply_preset("course")
    assert PARAMS.read_text() == default and Path("params.default.yaml").read_text() == default + EDIT


def test_without_any_default_a_preset_is_refused(folder: Path) -> None:
    apply_preset("course")
    Path("params.default.yaml").unlink()
    with pytest.raises(PipelineError, match="found the preset course, and neither Git nor params.default.yaml holds"):
        apply_preset("smoke")


def test_another_file_is_written_only_where_there_is_none(repository: Path) -> None:
    PARAMS.write_text(PARAMS.read_text().replace("seed: 0", "seed: 5", 1))  # an edit is taken along, and stays
    write_preset("smoke", Path("new/params.yaml"))
    assert load_params(Path("new/params.yaml")).prepare.seed == 5 and load_params().seeds == [0, 1, 2, 3, 4]
    with pytest.raises(PipelineError, match=r"new/params.yaml: found something there already"):
        write_preset("course", Path("new/params.yaml"))
    assert load_params(Path("new/params.yaml")).seeds == [0, 1]


WRONG = {
    "no such preset": (
        "nope",
        None,
        r"^presets/nope.yaml: found no such preset, expected one of course, full, own, published, ",
    ),
    "broken YAML": ("own", "seeds: [0", "^presets/own.yaml: not valid YAML: "),
    "a key twice": ("own", "seeds: [0]\nseeds: [1]", "^presets/own.yaml: not valid YAML: "),
    "no text": ("own", b"\xff\xfe\x00", "^presets/own.yaml: not valid YAML: "),
    "empty": ("own", "", "^presets/own.yaml is None: expected sections of params.yaml$"),
    "an unknown key": (
        "own",
        "fusion: {batch: 3}",
        "^presets/own.yaml merged over params.yaml: fusion.batch is not a known key: did you mean fusion.batch_size",
    ),
    "a value for a section": ("own", "cilp: 3", "merged over params.yaml: cilp is 3: expected a section of keys"),
    "a value for the matrix": ("own", "matrix: 3", "merged over params.yaml: matrix is 3: expected a section of keys"),
    "a value for a cell": ("own", "matrix: {late-maxpool: 3}", "matrix.late-maxpool is 3: expected a section of keys"),
    "a new cell without fusion": ("own", "matrix: {a-b: {epochs: 3}}", "matrix.a-b.fusion is missing: add it"),
}


@pytest.mark.parametrize("name, content, message", WRONG.values(), ids=WRONG)
def test_a_wrong_preset_is_one_line_and_changes_nothing(
    repository: Path, name: str, content: str | bytes | None, message: str
) -> None:
    own = Path("presets/own.yaml")
    own.write_bytes(content if isinstance(content, bytes) else (content or "seeds: [3]").encode())
    if content == "":
        own.write_text("")
    with pytest.raises(PipelineError, match=message) as caught:
        apply_preset(name)
    assert "\n" not in str(caught.value) and shell(repository, "git status --porcelain") == "?? presets/own.yaml\n"


def test_old_parameters_are_refused_by_what_their_keys_are_called_now(repository: Path) -> None:
    PARAMS.write_text(PARAMS.read_text().replace("batch_size:", "batch:"))
    shell(repository, "git commit -qam old")
    keys = "fusion.batch, curve.batch, lidar.batch and 5 more"
    with pytest.raises(PipelineError, match=rf"^params.yaml: {keys} are not known keys: did you mean batch_size\?"):
        apply_preset("course")


def test_outside_the_repository_is_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(PipelineError, match="^params.yaml: not found; run from the top of the repository$"):
        apply_preset("course")

"""The parts of the view in FiftyOne that need no FiftyOne; tests/explore holds the others."""

from pathlib import Path

import pytest

from pipeline.core.errors import PipelineError
from pipeline.raw.format import DataError, require_absent
from pipeline.tools.explore.fiftyone_view import read_scene_splits

TABLE = "row\tclass\tscene\tsplit\n0\tcubes\t4\ttrain\n1\tspheres\t4\tval\n"


@pytest.fixture
def prepared_here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Write the splits of a working directory's data/."""
    monkeypatch.chdir(tmp_path)
    table = tmp_path / "runs/prepare/arrays/split.tsv"
    table.parent.mkdir(parents=True)
    table.write_text(TABLE)
    return table


def test_the_splits_of_the_last_prepare_are_those_of_data_alone(prepared_here: Path, tmp_path: Path) -> None:
    splits = {(0, 4): "train", (1, 4): "val"}
    assert read_scene_splits(None, Path("data")) == read_scene_splits(None, tmp_path / "data") == splits
    assert read_scene_splits(None, Path("other")) == {} and read_scene_splits(prepared_here, Path("other")) == splits
    prepared_here.unlink()
    assert read_scene_splits(None, Path("data")) == {}


@pytest.mark.parametrize("text", [TABLE.replace("cubes", "cones"), TABLE.replace("val", "later"), "a\tb\n1\t2\n"])
def test_a_table_that_holds_no_splits_is_refused_by_name(prepared_here: Path, text: str) -> None:
    prepared_here.write_text(text)
    with pytest.raises(PipelineError, match=r"split.tsv: found columns .*; expected columns class"):
        read_scene_splits(None, Path("data"))


def test_a_requested_table_that_is_absent_is_refused(tmp_path: Path) -> None:
    with pytest.raises(PipelineError, match="none.tsv: not found"):
        read_scene_splits(tmp_path / "none.tsv", tmp_path)


def test_an_existing_path_is_refused_before_any_work(tmp_path: Path) -> None:
    require_absent(tmp_path / "new")
    (tmp_path / "dangling").symlink_to("nowhere")
    for existing in (tmp_path, tmp_path / "dangling"):
        with pytest.raises(DataError, match="found something there already"):
            require_absent(existing)

"""Parquet files in every form that a pair can have there, and what is wrong with them named by file and row."""

import io
import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as parquet
import pytest

from pipeline.core.errors import PipelineError
from pipeline.core.sensors import CLASSES
from pipeline.raw.format import DataError
from pipeline.tools.importers.import_dataset import import_dataset
from pipeline.tools.importers.open_source import open_source
from support.parquet_files import copy_angles, pair_rows, write_shards
from support.sets import same


@pytest.fixture
def table(raw_folder: Path, tmp_path: Path) -> list[dict[str, Any]]:
    (tmp_path / "in").mkdir()
    copy_angles(raw_folder, tmp_path / "in")
    return pair_rows(raw_folder)


def npy(values: list) -> bytes:
    file = io.BytesIO()
    np.save(file, np.array(values, np.float32))
    return file.getvalue()


FORMS: dict[str, Callable[[dict[str, Any], int], dict[str, Any]]] = {
    "numbers in rows": lambda row, at: row,
    "numbers in one list": lambda row, at: row | {"lidar": sum(row["lidar"], [])},
    "npy bytes": lambda row, at: row | {"lidar": npy(row["lidar"])},
    "npy bytes in a struct": lambda row, at: row | {"lidar": {"bytes": npy(row["lidar"]), "path": None}},
    "bare bytes of the picture": lambda row, at: row | {"image": row["image"]["bytes"]},
    "class names": lambda row, at: row | {"label": ["cube", "Spheres"][row["label"]]},
    "a scene column": lambda row, at: row | {"scene": at % 6, "image": {"bytes": row["image"]["bytes"], "path": None}},
}


@pytest.mark.parametrize("form", FORMS.values(), ids=FORMS)
def test_every_form_of_a_row_gives_the_same_bytes(
    raw_folder: Path, tmp_path: Path, table: list[dict], form: Callable
) -> None:
    write_shards(tmp_path / "in", [form(row, at) for at, row in enumerate(table)])
    import_dataset(str(tmp_path / "in"), tmp_path / "data", None, 0, False)
    assert same(tmp_path / "data", raw_folder)


def test_rows_in_any_order_find_their_partners(raw_folder: Path, tmp_path: Path, table: list[dict]) -> None:
    order = np.random.default_rng(0).permutation(len(table))
    write_shards(tmp_path / "in", [table[at] for at in order], shard=5)
    import_dataset(str(tmp_path / "in"), tmp_path / "data", None, 0, False)
    assert same(tmp_path / "data", raw_folder)


def test_without_any_number_the_order_counts_and_that_is_noted(
    raw_folder: Path, tmp_path: Path, table: list[dict]
) -> None:
    write_shards(tmp_path / "in", [row | {"image": row["image"] | {"path": None}} for row in table])
    result = import_dataset(str(tmp_path / "in"), tmp_path / "data", None, 0, False)
    assert "the n-th cube and the n-th sphere became one scene" in result.notes[0]
    assert same(tmp_path / "data", raw_folder)


def test_class_names_of_the_hub_count_more_than_the_numbers(
    raw_folder: Path, tmp_path: Path, table: list[dict]
) -> None:
    label = {"names": ["sphere", "cube"], "_type": "ClassLabel"}
    note = json.dumps({"info": {"features": {"label": label}}})
    write_shards(tmp_path / "in", [row | {"label": 1 - row["label"]} for row in table], huggingface=note)
    import_dataset(str(tmp_path / "in"), tmp_path / "data", None, 0, False)
    assert same(tmp_path / "data", raw_folder)


def test_angles_may_be_columns(raw_folder: Path, tmp_path: Path, table: list[dict]) -> None:
    own = {angle: np.load(raw_folder / f"cubes/{angle}.npy").tolist() for angle in ("azimuth", "zenith")}
    write_shards(tmp_path / "other", [row | own for row in table])
    import_dataset(str(tmp_path / "other"), tmp_path / "data", None, 0, False)
    assert same(tmp_path / "data", raw_folder)


def test_one_file_may_be_named_alone(raw_folder: Path, tmp_path: Path, table: list[dict]) -> None:
    write_shards(tmp_path / "in", table)
    copy_angles(raw_folder, tmp_path / "in/data")
    import_dataset(str(tmp_path / "in/data/train-00000.parquet"), tmp_path / "data", None, 0, False)
    assert same(tmp_path / "data", raw_folder)


def changed(at: int, **changes: Any) -> Callable[[list[dict]], list[dict]]:
    return lambda table: [row | changes if n == at else row for n, row in enumerate(table)]


PLACE = "in/data/train-00000.parquet"
BROKEN = {
    "no label": (lambda t: [{k: v for k, v in row.items() if k != "label"} for row in t], f"{PLACE}: found columns"),
    "label of no class": (changed(3, label=7), f"{PLACE}:row 3: found the label 7; expected one of cube, sphere"),
    "one scene twice": (lambda t: [*t, t[0]], f"{PLACE}:row 12: found cubes of scene 0000 as in .*row 0"),
    "no bytes": (changed(3, image={"bytes": None, "path": "0003.png"}), f"{PLACE}:row 3:image: found no bytes"),
    "no picture": (changed(3, image={"bytes": b"<html>", "path": "0003.png"}), "row 3:image: found a web page"),
    "too much": (changed(3, image={"bytes": bytes(2 << 20), "path": "0003.png"}), "row 3:image: found 2,097,152 bytes"),
    "a row short": (changed(3, lidar=[[50.0] * 64] * 63), "row 3:lidar: found 4,032 numbers in 63; expected 64 x 64"),
    "another shape": (changed(3, lidar=[[50.0] * 128] * 32), "row 3:lidar: found 4,096 numbers in 32; expected 64 x"),
    "no number": (changed(3, lidar=[[None] * 64] * 64), "row 3:lidar: found 4096 values that are NaN"),
    "two scenes": (
        lambda t: [
            row | {"lidar": {"bytes": b"x", "path": f"{at + 14 * (at == 3):04d}.npy"}} for at, row in enumerate(t)
        ],
        f"{PLACE}:row 3: found 0003.png and 0017.npy in one row; expected files of one scene",
    ),
    "two classes": (
        lambda t: [
            row
            | {"lidar": {"bytes": b"x", "path": "spheres/0003.npy"}, "image": row["image"] | {"path": "cubes/3.png"}}
            for row in t
        ],
        f"{PLACE}:row 0: found cubes/3.png and spheres/0003.npy in one row; expected files of one scene and class",
    ),
    "scene without number": (lambda t: [row | {"scene": "x"} for row in t], "row 0: found the scene 'x'"),
}


@pytest.mark.parametrize("spoil, words", BROKEN.values(), ids=BROKEN)
def test_a_broken_row_is_named(tmp_path: Path, table: list[dict], spoil: Callable, words: str) -> None:
    write_shards(tmp_path / "in", spoil(table))
    with pytest.raises(DataError, match=words):
        import_dataset(str(tmp_path / "in"), tmp_path / "data", None, 0, False)
    assert [each.name for each in tmp_path.iterdir()] == ["in"]


def test_without_angles_it_is_refused(tmp_path: Path, table: list[dict]) -> None:
    write_shards(tmp_path / "other", table)
    with pytest.raises(DataError) as caught:
        import_dataset(str(tmp_path / "other"), tmp_path / "data", None, 0, False)
    assert {issue.path for issue in caught.value.args} == {
        tmp_path / f"other/{name}/{angle}.npy" for name in CLASSES for angle in ("azimuth", "zenith")
    }


def test_a_parquet_file_cut_short_is_named(tmp_path: Path, table: list[dict]) -> None:
    write_shards(tmp_path / "in", table)
    path = tmp_path / PLACE
    path.write_bytes(path.read_bytes()[:-100])
    with pytest.raises(DataError, match=f"{PLACE}: found .*; expected a whole parquet file"):
        open_source(str(tmp_path / "in"))


def test_parquet_of_something_else_holds_no_set(tmp_path: Path) -> None:
    write_shards(tmp_path, [{"text": "to be or not to be"}])
    with pytest.raises(DataError, match="found no frames"):
        open_source(str(tmp_path))


@pytest.mark.slow
def test_a_value_without_end_is_refused_undecoded(tmp_path: Path) -> None:
    """Fifty million equal numbers, in few bytes."""
    values = pa.array(np.full(5 * 10**7, 50, np.float32))
    (tmp_path / "data").mkdir()
    row = pa.table({"image": [b"x"], "lidar": pa.ListArray.from_arrays([0, len(values)], values), "label": [0]})
    parquet.write_table(row, tmp_path / "data/all.parquet")
    assert (tmp_path / "data/all.parquet").stat().st_size < 1 << 20
    with pytest.raises(DataError, match="50,000,000 values in 1 rows; expected frames"):
        open_source(str(tmp_path))


def test_rows_are_decoded_a_few_at_a_time(raw_folder: Path, tmp_path: Path, table: list[dict]) -> None:
    """A row group of 4,000 pairs, 130 MB of them, read from front to back."""
    scenes = pa.array([6 * n + at % 6 for n in range(334) for at in range(12)])
    whole = pa.concat_tables([pa.Table.from_pylist(table)] * 334).append_column("scene", scenes)
    (tmp_path / "in/data").mkdir()
    parquet.write_table(whole, tmp_path / "in/data/all.parquet", row_group_size=len(whole))
    before = pa.total_allocated_bytes()
    source = open_source(str(tmp_path / "in"))
    names = [name for name in source.files if name.startswith("cubes/lidar")]
    for name in names[:: len(names) // 50]:
        assert source.read(source.files[name])[:6] == b"\x93NUMPY"
        assert pa.total_allocated_bytes() - before < 100 << 20


def test_absent_pyarrow_is_named_too(raw_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_shards(tmp_path, pair_rows(raw_folder))
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    with pytest.raises(PipelineError, match="needs pyarrow, .* -r requirements-hub.txt"):
        open_source(str(tmp_path))

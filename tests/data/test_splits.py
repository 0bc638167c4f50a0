from pathlib import Path

import pytest

from pipeline.core.errors import PipelineError
from pipeline.data.splits import read_splits, write_splits
from pipeline.raw.splitting import split_by_scene

FRACTIONS = {"train": 0.7, "val": 0.1, "test": 0.2}
TABLE = """row	class	scene	split
0	cubes	0	train
1	cubes	1	val
2	cubes	2	test
3	spheres	0	train
4	spheres	1	val
5	spheres	2	test
"""


def test_write_and_read(tmp_path: Path) -> None:
    path = tmp_path / "split.tsv"
    write_splits(path, [0, 0, 0, 1, 1, 1], [0, 1, 2, 0, 1, 2], {0: "train", 1: "val", 2: "test"})
    assert path.read_text() == TABLE
    rows = {name: rows.tolist() for name, rows in read_splits(path).items()}
    assert rows == {"train": [0, 3], "val": [1, 4], "test": [2, 5]}
    assert list(rows) == ["train", "val", "test"]


def test_both_classes_of_a_scene_lie_on_one_side(tmp_path: Path) -> None:
    scenes = [*range(50), *range(50)]
    splits = split_by_scene(scenes, FRACTIONS, seed=3)
    write_splits(tmp_path / "split.tsv", [0] * 50 + [1] * 50, scenes, splits)
    for rows in read_splits(tmp_path / "split.tsv").values():
        cubes, spheres = rows[rows < 50], rows[rows >= 50]
        assert (cubes + 50).tolist() == spheres.tolist()


def test_a_divided_scene_is_refused(tmp_path: Path) -> None:
    (tmp_path / "split.tsv").write_text(TABLE.replace("spheres	1	val", "spheres	1	train"))
    with pytest.raises(PipelineError, match="split.tsv: scene 1 lies in two splits; run `dvc repro prepare`"):
        read_splits(tmp_path / "split.tsv")


MALFORMED = {
    "empty": "",
    "commas": TABLE.replace("\t", ","),
    "a column gone": TABLE.replace("scene", "place"),
    "a line too long": TABLE + "6\t7\t8\t9\t10\n",
    "cut": TABLE[:40],
    "a row gone": TABLE.replace("1\tcubes\t1\tval\n", ""),
    "a row twice": TABLE.replace("1\tcubes", "0\tcubes"),
    "no number": TABLE.replace("5\tspheres", "five\tspheres"),
    "an unknown split": TABLE.replace("test", "tset"),
    "no split": TABLE.replace("test", ""),
}


@pytest.mark.parametrize("content", MALFORMED.values(), ids=MALFORMED)
def test_a_malformed_file_is_refused_in_one_line(tmp_path: Path, content: str) -> None:
    (tmp_path / "split.tsv").write_text(content)
    with pytest.raises(PipelineError, match=r"split\.tsv: [^\n]+; (delete it and )?run `dvc repro`$"):
        read_splits(tmp_path / "split.tsv")


def test_a_missing_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(PipelineError, match=r"split\.tsv: not found; run `dvc repro`"):
        read_splits(tmp_path / "split.tsv")

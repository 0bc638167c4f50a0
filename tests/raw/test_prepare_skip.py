"""A prepare that leaves out what is broken, or not requested."""

import json
import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from pipeline.core.errors import PipelineError
from pipeline.raw.format import pair_at, read_rgb
from pipeline.raw.prepare import prepare
from pipeline.raw.splitting import split_by_scene
from support import faults
from support.prepared import contents, halves


def test_skip_leaves_out_the_scenes_at_fault_and_lists_them(raw_folder: Path, tmp_path: Path) -> None:
    source = Path(shutil.copytree(raw_folder, tmp_path / "data"))
    prepare(source, tmp_path / "whole", lambda *_: {0: "train", 2: "val", 3: "test", 4: "train", 5: "test"})
    for name in ("depth cut in half", "stray at the top"):
        faults.FAULTS[name].plant(source)
    names = {0: "train", 2: "val", 3: "test", 4: "train", 5: "test"}
    metrics = prepare(source, tmp_path / "arrays", lambda *_: names, "skip")
    assert metrics["pairs"] == 10 and metrics["train"] == {"cubes": 2, "spheres": 2}
    assert metrics["left_out"] == {
        "pairs": 2,
        "faults": [
            {
                "path": str(source / faults.DEPTH),
                "kind": "truncated",
                "found": "7,872 bytes of values",
                "scenes": "0001",
            }
        ],
    }
    assert metrics["warnings"] == {"stray": 1} and json.dumps(metrics)
    assert contents(tmp_path / "arrays") == contents(tmp_path / "whole")
    frames_of = pd.read_csv(tmp_path / "arrays/frames.tsv", sep="\t")
    assert frames_of["scene"].tolist() == [0, 2, 3, 4, 5] * 2 and frames_of["row"].tolist() == list(range(10))


def test_skip_uses_what_a_truncated_class_leaves(raw_folder: Path, tmp_path: Path) -> None:
    source = Path(shutil.copytree(raw_folder, tmp_path / "data"))
    for scene in (4, 5):
        (source / f"spheres/rgb/{scene:04d}.png").unlink()
        (source / f"spheres/lidar/{scene:04d}.npy").unlink()
    names = {0: "train", 1: "train", 2: "val", 3: "test"}
    metrics = prepare(source, tmp_path / "arrays", lambda *_: names, "skip")
    assert metrics["pairs"] == 8 and metrics["left_out"]["pairs"] == 2
    assert [issue["scenes"] for issue in metrics["left_out"]["faults"]] == ["0004 .. 0005"]
    assert metrics["cubes"]["pairs_found"] == 6 and metrics["spheres"]["pairs_found"] == 4


def test_skip_leaves_out_the_second_of_a_duplicated_frame(raw_folder: Path, tmp_path: Path) -> None:
    source = Path(shutil.copytree(raw_folder, tmp_path / "data"))
    shutil.copy(source / "cubes/rgb/0000.png", source / "cubes/rgb/0005.png")
    with pytest.raises(PipelineError, match="cubes/rgb/0005.png: found the same frame as .*cubes/rgb/0000.png, which"):
        prepare(source, tmp_path / "arrays", halves)
    metrics = prepare(source, tmp_path / "arrays", halves, "skip")
    assert metrics["val"] == {"cubes": 1, "spheres": 1} and metrics["left_out"]["faults"][0]["kind"] == "leak"


@pytest.mark.parametrize("name", ["angles missing", "class missing", "no returns at all"])
def test_skip_does_not_pass_over_a_fault_of_the_whole_folder(raw_folder: Path, tmp_path: Path, name: str) -> None:
    source = Path(shutil.copytree(raw_folder, tmp_path / "data"))
    faults.FAULTS[name].plant(source)
    with pytest.raises(PipelineError, match=faults.FAULTS[name].words):
        prepare(source, tmp_path / "arrays", halves, "skip")
    assert [path.name for path in tmp_path.iterdir()] == ["data"]


def test_skip_stops_where_it_would_leave_a_split_empty(raw_folder: Path, tmp_path: Path) -> None:
    source = Path(shutil.copytree(raw_folder, tmp_path / "data"))
    shutil.copy(source / "cubes/rgb/0000.png", source / "cubes/rgb/0005.png")
    names = {0: "train", 1: "train", 2: "test", 3: "train", 4: "train", 5: "val"}
    with pytest.raises(PipelineError, match="no whole scene for split val"):
        prepare(source, tmp_path / "arrays", lambda *_: names, "skip")


def test_scenes_over_the_counts_are_not_used(raw_folder: Path, tmp_path: Path) -> None:
    counts = {"train": 2, "val": 1, "test": 1}
    metrics = prepare(raw_folder, tmp_path / "arrays", lambda scenes, _: split_by_scene(scenes, counts, seed=0))
    assert metrics["pairs"] == 8 and metrics["left_out"] == {"pairs": 0, "faults": []}
    assert metrics["not_asked_for"] == 4
    assert np.load(tmp_path / "arrays/depth.npy").shape == (8, 64, 64)
    table = pd.read_csv(tmp_path / "arrays/split.tsv", sep="\t")
    for row, scene in enumerate(table["scene"]):
        pair = pair_at(raw_folder, row // 4, scene)
        assert (np.load(tmp_path / "arrays/rgb.npy")[row] == read_rgb(pair.rgb)).all()

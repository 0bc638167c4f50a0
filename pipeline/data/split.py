"""Scenes -> train, val, test. A scene is one place and colour, as a cube and as a sphere; it is never parted."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from pipeline.artifacts import read_table, write_text
from pipeline.data.raw import CLASSES
from pipeline.errors import PipelineError

SPLITS = ("train", "val", "test")


def by_scene(scenes: Sequence[int], fractions: dict[str, float], seed: int) -> dict[int, str]:
    """Scene -> split, drawn at random by `seed` in the shares `fractions` (they sum to 1)."""
    order = np.random.default_rng(seed).permutation(sorted(set(scenes)))
    ends = np.round(np.cumsum([fractions[name] for name in SPLITS]) * len(order)).astype(int)
    parts = np.split(order, ends[:-1])
    return _named(parts)


def course(scenes: Sequence[int], held_out: int) -> dict[int, str]:
    """The course's split: the last `held_out` scenes are validation. The as many before them are our test split.

    The course has no test split and selects and reports on one set; ours keeps the two apart.
    """
    order = np.array(sorted(set(scenes)))
    if len(order) <= 2 * held_out:
        raise PipelineError(
            f"prepare.course_scenes: {held_out} scenes each for val and test of {len(order)} in the data leave none to "
            f"train on; expected under half; lower prepare.course_scenes or take prepare.split: scene"
        )
    train, test, val = np.split(order, [len(order) - 2 * held_out, len(order) - held_out])
    return _named([train, val, test])


def _named(parts: Sequence[np.ndarray]) -> dict[int, str]:
    """Parts in the order of SPLITS; an empty one is refused, since every later figure needs all three."""
    for name, part in zip(SPLITS, parts, strict=True):
        if not len(part):
            raise PipelineError(f"prepare.fractions: split {name} gets no scene; bring more scenes or raise its share")
    return {int(scene): name for name, part in zip(SPLITS, parts, strict=True) for scene in part}


def write_split(path: Path, labels: Sequence[int], scenes: Sequence[int], splits: dict[int, str]) -> None:
    """One line a pair, in the order of the arrays: row, class, scene, split."""
    table = pd.DataFrame({"class": [CLASSES[label] for label in labels], "scene": scenes})
    table["split"] = [splits[scene] for scene in scenes]
    write_text(path, table.to_csv(sep="\t", index_label="row", lineterminator="\n"))


def read_split(path: Path) -> dict[str, np.ndarray]:
    """Split name -> row numbers; raises PipelineError if the file is absent, malformed, or parts a scene."""
    table = read_table(path)
    try:
        row, split, scene = table["row"], table["split"], table["scene"]
    except KeyError as error:
        raise PipelineError(f"{path}: no column {error}; expected row, split and scene; run `dvc repro`") from None
    if list(row) != list(range(len(table))) or set(split) != set(SPLITS):
        raise PipelineError(f"{path}: expected rows 0, 1, 2 ... and each of {', '.join(SPLITS)}; run `dvc repro`")
    parted = scene[split.groupby(scene).transform("nunique") > 1]
    if len(parted):
        raise PipelineError(f"{path}: scene {parted.iloc[0]} lies in two splits; run `dvc repro prepare`")
    return {name: row[split == name].to_numpy() for name in SPLITS}

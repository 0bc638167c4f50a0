"""The split table, split.tsv: which pairs are for training, validation and testing."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from pipeline.core.errors import PipelineError
from pipeline.core.files import read_tsv, write_text
from pipeline.core.sensors import CLASSES

SPLITS = ("train", "val", "test")


def write_splits(path: Path, labels: Sequence[int], scenes: Sequence[int], splits: dict[int, str]) -> None:
    """Write a line a pair, in the order of the arrays: row, class, scene, split. `splits` is scene -> split."""
    import pandas as pd  # slow to import, and readers of frames start without it

    table = pd.DataFrame({"class": [CLASSES[label] for label in labels], "scene": scenes})
    table["split"] = [splits[scene] for scene in scenes]
    write_text(path, table.to_csv(sep="\t", index_label="row", lineterminator="\n"))


def read_splits(path: Path) -> dict[str, np.ndarray]:
    """Read split -> row numbers, rising.

    Raises PipelineError if the table is absent or malformed, or has a scene in two splits.
    """
    table = read_tsv(path)
    try:
        row, split, scene = table["row"], table["split"], table["scene"]
    except KeyError as error:
        raise PipelineError(f"{path}: no column {error}; expected row, split and scene; run `dvc repro`") from None
    if list(row) != list(range(len(table))) or set(split) != set(SPLITS):
        raise PipelineError(f"{path}: expected rows 0, 1, 2 ... and each of {', '.join(SPLITS)}; run `dvc repro`")
    divided = scene[split.groupby(scene).transform("nunique") > 1]
    if len(divided):
        raise PipelineError(f"{path}: scene {divided.iloc[0]} lies in two splits; run `dvc repro prepare`")
    return {name: row[split == name].to_numpy() for name in SPLITS}

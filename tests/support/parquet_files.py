"""Raw pairs as rows of parquet files, in the form of Hugging Face's data sets."""

import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as parquet

from pipeline.core.sensors import ANGLES
from pipeline.raw.format import pair_at


def pair_rows(folder: Path) -> list[dict[str, Any]]:
    """Return the pairs of six scenes, all cubes first: bytes and name of the RGB, the ranges as Python's floats."""
    pairs = [pair_at(folder, label, scene) for label in range(2) for scene in range(6)]
    return [
        {
            "image": {"bytes": pair.rgb.read_bytes(), "path": pair.rgb.name},
            "lidar": np.load(pair.lidar).tolist(),
            "label": pair.label,
        }
        for pair in pairs
    ]


def write_shards(folder: Path, table: list[dict[str, Any]], shard: int = 100, **metadata: Any) -> None:
    """Write rows as `data/train-00000.parquet` and so on, `shard` rows in each file and four in each row group."""
    (folder / "data").mkdir(parents=True, exist_ok=True)
    for start in range(0, len(table), shard):
        part = pa.Table.from_pylist(table[start : start + shard]).replace_schema_metadata(metadata)
        parquet.write_table(part, folder / f"data/train-{start // shard:05d}.parquet", row_group_size=4)


def copy_angles(folder: Path, target: Path) -> None:
    """Copy the angle files of a raw folder's cubes beside the parquet files."""
    for angle in ANGLES:
        shutil.copy(folder / f"cubes/{angle}.npy", target / f"{angle}.npy")

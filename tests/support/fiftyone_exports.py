"""FiftyOneDataset folders written by hand."""

import base64
import io
import json
import zlib
from pathlib import Path

import numpy as np


def npy(array: np.ndarray) -> bytes:
    file = io.BytesIO()
    np.save(file, array)
    return file.getvalue()


def heatmap(data: bytes) -> dict:
    return {"_cls": "Heatmap", "map": {"$binary": {"base64": base64.b64encode(zlib.compress(data)).decode()}}}


def sample(group: str, slice_: str, path: str, **fields: object) -> dict:
    return {"filepath": path, "tags": [], "group": {"_id": {"$oid": group}, "name": slice_}, **fields}


def write_export(folder: Path, samples: list[dict], info: dict | None = None, indent: int | None = None) -> Path:
    (folder / "metadata.json").write_text(json.dumps({"name": "set", "info": info or {}}))
    (folder / "samples.json").write_text(json.dumps({"samples": samples}, indent=indent, ensure_ascii=False))
    return folder

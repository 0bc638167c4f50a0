"""Read an offline wandb run back from its .wandb file, by wandb's own records."""

import json
import struct
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

from wandb.proto import wandb_internal_pb2


class Artifact(NamedTuple):
    name: str
    aliases: set[str]
    files: dict[str, Path]  # name -> the copy that a sync would upload


class Logged(NamedTuple):
    run: Any  # as wandb_internal.proto has it: display_name, job_type, run_group, ...
    config: dict[str, Any]
    history: list[dict[str, Any]]
    summary: dict[str, Any]
    artifacts: dict[str, list[Artifact]]  # by type
    files: list[str]  # below files/
    folder: Path
    code: int | None  # of its end; None: it never ended


def runs(folder: Path) -> list[Path]:
    """Return the .wandb files of all offline runs, oldest first."""
    return sorted((folder / "wandb").glob("offline-run-*/run-*.wandb"), key=lambda path: path.stat().st_mtime_ns)


def read_run(path: Path) -> Logged:
    """Read everything in one .wandb file."""
    logged = Logged(wandb_internal_pb2.RunRecord(), {}, [], {}, {}, [], path.parent, None)
    for data in _records(path.read_bytes()):
        record = wandb_internal_pb2.Record.FromString(data)
        kind = record.WhichOneof("record_type")
        if kind == "run":
            logged.run.MergeFrom(record.run)
            logged.config.update(_values(record.run.config.update))
        elif kind == "config":
            logged.config.update(_values(record.config.update))
        elif kind == "history":
            logged.history.append(_values(record.history.item))
        elif kind == "summary":
            logged.summary.update(_values(record.summary.update))
        elif kind == "files":
            logged.files.extend(file.path for file in record.files.files)
        elif kind == "artifact":
            files = {entry.path: Path(entry.local_path) for entry in record.artifact.manifest.contents}
            found = Artifact(record.artifact.name, set(record.artifact.aliases), files)
            logged.artifacts.setdefault(record.artifact.type, []).append(found)
        elif kind == "exit":
            logged = logged._replace(code=record.exit.exit_code)
    return logged


def _values(items: Any) -> dict[str, Any]:
    return {item.key or "/".join(item.nested_key): json.loads(item.value_json) for item in items}


def _records(log: bytes) -> Iterator[bytes]:
    """Yield the records of 7 bytes of head and a LevelDB log: records, cut at the ends of 32 KB blocks."""
    position, parts = 7, b""
    while position + 7 <= len(log):
        left = 32768 - position % 32768
        length, kind = struct.unpack_from("<HB", log, position + 4)
        if left < 7 or kind == 0:  # the rest of a block that could not hold another record
            position += left
            continue
        parts += log[position + 7 : position + 7 + length]
        position += 7 + length
        if kind in (1, 4):  # whole, or the last part
            yield parts
            parts = b""

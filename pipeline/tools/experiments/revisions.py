"""What the workspace, the commits and DVC's experiments hold of the fusion study, read through Git. Nothing is run."""

import json
import re
import subprocess
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from pipeline.core.errors import PipelineError
from pipeline.core.runs import RUNS

WORKSPACE = "workspace"
LOCK = Path("dvc.lock")
ARRAYS = RUNS / "prepare" / "arrays"
EXPERIMENT = re.compile(r"refs/exps/\w{2}/\w{38}/")  # of DVC: the commit it started from, then its name


@dataclass(frozen=True)
class Training:
    """One cell as it was trained once. The parameters are those of its run, which params.yaml may no longer hold."""

    cell: str
    params: dict[str, Any]  # fusion.lr -> 0.001, in the order of dvc.lock
    metrics: dict[str, Any]
    arrays: str  # hash of the prepared arrays, and so of data and split
    places: list[str] = field(compare=False)  # those that hold it: workspace, commit 1a2b3c4, an experiment's name

    @property
    def identity(self) -> str:
        """The same in every place that holds this training, or repeats it: times and memory have no part in it."""
        return json.dumps([self.cell, self.params, self.arrays, self.metrics.get("val_loss")])


def trainings() -> list[Training]:
    """Every training of the workspace, the commits of this branch and all experiments, each once.

    Only cells of that revision's own matrix count. Raises PipelineError where nothing was trained yet.
    """
    revisions = {WORKSPACE: ""} | _commits() | _experiments()
    found: dict[str, Training] = {}
    for place, training in _read(revisions):
        found.setdefault(training.identity, training).places.append(place)
    if not found:
        raise PipelineError(
            f"{LOCK}: found no trained cell here, in the commits of this branch or in an experiment, expected one at "
            "least; run `make repro`, then `make sweep` or `dvc exp run`"
        )
    return list(found.values())


def arrays_here() -> str | None:
    """Hash of the arrays that the workspace's dvc.lock speaks of."""
    return _arrays(_lock(_file(LOCK)).get("prepare", {}), "outs")


def _read(revisions: Mapping[str, str]) -> Iterator[tuple[str, Training]]:
    """Place -> commit ("" is the workspace): its trainings."""
    opening = [(place, name) for place in revisions for name in (LOCK, Path("params.yaml"))]
    texts = iter(_texts([(revisions[place], name) for place, name in opening]))
    told: list[tuple[str, str, dict]] = []
    locks: dict[str, dict] = {}  # most commits and experiments share theirs
    for place, (lock, params) in zip(revisions, zip(texts, texts, strict=True), strict=True):
        stages = locks.setdefault(lock, _lock(lock))
        told += [(place, cell, stages[f"fusion@{cell}"]) for cell in _matrix(params) if f"fusion@{cell}" in stages]
    files = [(revisions[place], RUNS / "fusion" / cell / "metrics.json") for place, cell, _ in told]
    for (place, cell, stage), text in zip(told, _texts(files), strict=True):
        if metrics := _json(text):
            params = dict(_flat(stage.get("params", {}).get("params.yaml", {})))
            yield place, Training(cell, params, metrics, _arrays(stage, "deps") or "", [])


def _lock(text: str) -> dict[str, dict]:
    """The stages of a dvc.lock; none of one that cannot be read, as in the middle of a merge."""
    try:
        return (yaml.load(text, getattr(yaml, "CSafeLoader", yaml.SafeLoader)) or {}).get("stages", {})
    except (yaml.YAMLError, AttributeError):
        return {}


def _matrix(text: str) -> list[str]:
    try:
        return list(yaml.safe_load(text)["matrix"])
    except (yaml.YAMLError, TypeError, KeyError):
        return []


def _json(text: str) -> dict:
    try:
        told = json.loads(text)
    except ValueError:
        return {}
    return told if isinstance(told, dict) else {}


def _arrays(stage: Mapping[str, Any], side: str) -> str | None:
    return next((each.get("md5") for each in stage.get(side, []) if each.get("path") == ARRAYS.as_posix()), None)


def _flat(section: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    for name, value in section.items():
        if isinstance(value, Mapping):
            yield from _flat(value, f"{prefix}{name}.")
        else:
            yield prefix + name, value


def _commits() -> dict[str, str]:
    """Those of this branch that changed dvc.lock, the newest first."""
    return {f"commit {commit[:7]}": commit for commit in _git("log", "--format=%H", "--", str(LOCK)).decode().split()}


def _experiments() -> dict[str, str]:
    """Name -> commit, the newest first."""
    listed = _git("for-each-ref", "--sort=-committerdate", "--format=%(refname) %(objectname)", "refs/exps").decode()
    rows = [line.split() for line in listed.splitlines() if EXPERIMENT.match(line)]
    return {name.split("/", 4)[4]: commit for name, commit in rows}


def _texts(wanted: list[tuple[str, Path]]) -> list[str]:
    """The files of commits ("" is the workspace); empty where there is none."""
    named = [f"{commit}:./{path.as_posix()}" for commit, path in wanted if commit]
    stored = iter(_blobs(_git("cat-file", "--batch", given="".join(f"{name}\n" for name in named)), len(named)))
    return [next(stored) if commit else _file(path) for commit, path in wanted]


def _blobs(answer: bytes, count: int) -> Iterator[str]:
    """What `git cat-file --batch` says of so many names: `hash blob size`, the bytes and a line end, or one line."""
    start = 0
    for _ in range(count):
        end = answer.index(b"\n", start) + 1
        head = answer[start:end].split()
        size = int(head[2]) if len(head) == 3 and head[1] == b"blob" else None
        yield "" if size is None else answer[end : end + size].decode(errors="replace")
        start = end if size is None else end + size + 1


def _file(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8", errors="replace")
    except FileNotFoundError:
        return ""


def _git(*words: str, given: str = "") -> bytes:
    """What Git says; nothing where there is no repository, no commit or no Git: the workspace still counts."""
    try:
        done = subprocess.run(["git", *words], input=given.encode(), capture_output=True)
    except FileNotFoundError:
        return b""
    return done.stdout if done.returncode == 0 else b""

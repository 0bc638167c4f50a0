"""Trained cells of the fusion study in the workspace, the commits and DVC's experiments. Nothing is run."""

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import Any

import yaml

from pipeline.core.errors import PipelineError
from pipeline.core.runs import RUNS
from pipeline.tools.git import read_files
from pipeline.tracking.provenance import run_git

WORKSPACE = "workspace"
LOCK = "dvc.lock"
PARAMS = "params.yaml"
CELLS = (RUNS / "fusion").as_posix()
ARRAYS = (RUNS / "prepare" / "arrays").as_posix()
EXPERIMENT = re.compile(r"refs/exps/\w{2}/\w{38}/")  # DVC's: the commit it started from, then its name
Files = Mapping[str, str]  # path -> text


@dataclass(frozen=True)
class Training:
    """One training of one cell. Its parameters are those of its run; params.yaml may hold others by now."""

    cell: str
    params: dict[str, Any]  # fusion.lr -> 0.001, in the order of dvc.lock
    metrics: dict[str, Any]
    arrays: str  # hash of the prepared arrays, and so of data and split
    places: list[str] = field(compare=False)  # where it is found: workspace, commit 1a2b3c4, an experiment's name

    @property
    def identity(self) -> str:
        """Return a value that a training shares with its repetitions: times and memory have no part in it."""
        return json.dumps([self.cell, self.params, self.arrays, self.metrics.get("val_loss")])


def trainings() -> list[Training]:
    """Return every training of the workspace, the commits of this branch and all experiments, each once.

    Cells that are not in the matrix of their revision do not count. Raises PipelineError if nothing was trained yet.
    """
    found: dict[str, Training] = {}
    for place, files in _revisions():
        for training in _trainings(files):
            found.setdefault(training.identity, training).places.append(place)
    if not found:
        raise PipelineError(
            f"{LOCK}: found no trained cell here, in the commits of this branch or in an experiment, expected at least "
            "one; run `make repro`, then `make sweep` or `dvc exp run`"
        )
    return list(found.values())


def arrays_here() -> str | None:
    """Return the hash of the prepared arrays by the dvc.lock of the workspace; None before the first run."""
    return _arrays(_stages(_workspace().get(LOCK, "")).get("prepare", {}), "outs")


def _revisions() -> Iterator[tuple[str, Files]]:
    """Iterate over (place, files): the workspace, then commits that changed dvc.lock and experiments, newest first."""
    yield WORKSPACE, _workspace()
    for commit in (run_git("log", "--format=%H", "--", LOCK) or b"").decode().split():
        yield f"commit {commit[:7]}", read_files(commit, LOCK, PARAMS, CELLS)
    refs = run_git("for-each-ref", "--sort=-committerdate", "--format=%(refname) %(objectname)", "refs/exps") or b""
    for ref, commit in map(str.split, refs.decode().splitlines()):
        if EXPERIMENT.match(ref):
            yield ref.split("/", 4)[4], read_files(commit, LOCK, PARAMS, CELLS)


def _workspace() -> Files:
    paths = [Path(LOCK), Path(PARAMS), *Path(CELLS).glob("*/metrics.json")]
    return {path.as_posix(): path.read_text(encoding="utf-8", errors="replace") for path in paths if path.exists()}


def _trainings(files: Files) -> Iterator[Training]:
    """Iterate over the trained cells of one revision, in the order of its matrix."""
    stages = _stages(files.get(LOCK, ""))
    for cell in _matrix(files.get(PARAMS, "")):
        stage, metrics = stages.get(f"fusion@{cell}"), _metrics(files.get(f"{CELLS}/{cell}/metrics.json", ""))
        if stage and metrics:
            params = dict(_flatten(stage.get("params", {}).get(PARAMS, {})))
            yield Training(cell, params, metrics, _arrays(stage, "deps") or "", [])


@lru_cache(maxsize=64)  # most commits and experiments share theirs with a neighbour
def _stages(lock: str) -> dict[str, dict]:
    """Return the stages of a dvc.lock; none of one that is not readable, as in the middle of a merge."""
    try:
        return (yaml.load(lock, getattr(yaml, "CSafeLoader", yaml.SafeLoader)) or {}).get("stages", {})
    except (yaml.YAMLError, AttributeError):
        return {}


def _matrix(params: str) -> list[str]:
    try:
        return list(yaml.safe_load(params)["matrix"])
    except (yaml.YAMLError, TypeError, KeyError):
        return []


def _metrics(text: str) -> dict:
    try:
        metrics = json.loads(text)
    except ValueError:
        return {}
    return metrics if isinstance(metrics, dict) else {}


def _arrays(stage: Mapping[str, Any], side: str) -> str | None:
    return next((each.get("md5") for each in stage.get(side, []) if each.get("path") == ARRAYS), None)


def _flatten(section: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    for name, value in section.items():
        if isinstance(value, Mapping):
            yield from _flatten(value, f"{prefix}{name}.")
        else:
            yield prefix + name, value

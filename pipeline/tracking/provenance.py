"""The provenance of a result: commit, data and experiment. The one reader of Git for wandb and for ONNX files.

Works where there is no Git, no data.dvc and no dvc.lock: what is unknown is left out.
"""

import os
import subprocess
from pathlib import Path
from typing import Any

import yaml

CODE = ("pipeline", "stages", "params.yaml", "dvc.yaml", "data.dvc", "requirements.txt")  # results depend on these
GIT_TIMEOUT_S = 10
UNKNOWN = "unknown"


def read_provenance() -> dict[str, Any]:
    """Return what is known among commit, dirty, data, experiment, baseline.

    `dirty` is True if a file of CODE differs from the commit or is new; `data` is the MD5 in data.dvc; `experiment` and
    `baseline` are DVC's name of an experiment and the commit that the experiment started from.
    """
    variables = {"experiment": "DVC_EXP_NAME", "baseline": "DVC_EXP_BASELINE_REV"}
    experiment = {name: os.environ[variable] for name, variable in variables.items() if os.environ.get(variable)}
    return _read_commit() | _read_data() | experiment


def commit() -> str:
    """Return Git's commit, with `+changes` after it if it is dirty; `unknown` without a repository."""
    known = _read_commit()
    return known["commit"] + ("+changes" if known["dirty"] else "") if known else UNKNOWN


def data_hash(lock: Path = Path("dvc.lock")) -> str:
    """Return DVC's hash of the raw data that runs/ was made from; `unknown` before the first run.

    data.dvc may be ahead of dvc.lock: it names the data that lie there now.
    """
    try:
        deps = yaml.safe_load(lock.read_text(encoding="utf-8"))["stages"]["prepare"]["deps"]
        return next(str(dep["md5"]) for dep in deps if dep["path"] == "data")
    except (OSError, ValueError, yaml.YAMLError, KeyError, TypeError, StopIteration):
        return UNKNOWN


def _read_commit() -> dict[str, Any]:
    if not run_git("ls-tree", "HEAD", "dvc.yaml", timeout_s=GIT_TIMEOUT_S):
        return {}  # no Git here, or the repository of something around this project
    status = run_git(
        "--no-optional-locks", "status", "--porcelain=v2", "--branch", "--", *CODE, timeout_s=GIT_TIMEOUT_S
    )
    lines = (status or b"").decode(errors="replace").splitlines()
    oid = next((line.split()[-1] for line in lines if line.startswith("# branch.oid")), None)
    return {"commit": oid, "dirty": any(not line.startswith("#") for line in lines)} if oid else {}


def run_git(*arguments: str, timeout_s: float | None = None) -> bytes | None:
    """Return the output of a Git command; None if it fails, takes longer than `timeout_s`, or Git is not installed."""
    try:
        done = subprocess.run(["git", *arguments], capture_output=True, timeout=timeout_s)
    except (OSError, subprocess.TimeoutExpired):
        return None
    return done.stdout if done.returncode == 0 else None


def _read_data() -> dict[str, str]:
    try:
        return {"data": yaml.safe_load(Path("data.dvc").read_text(encoding="utf-8"))["outs"][0]["md5"]}
    except (OSError, ValueError, KeyError, IndexError, TypeError, yaml.YAMLError):
        return {}

"""Where a run comes from: commit, data, experiment. Works the same where there is no Git and no data.dvc."""

import os
import subprocess
from pathlib import Path
from typing import Any

import yaml


def commit() -> str:
    """Git's commit, `+changes` after it if tracked files differ from it; `unknown` without a repository."""
    try:
        said = [
            subprocess.run(["git", *command], capture_output=True, text=True, check=True, timeout=30).stdout.strip()
            for command in (["rev-parse", "HEAD"], ["status", "--porcelain", "--untracked-files=no"])
        ]
    except (OSError, subprocess.SubprocessError):
        return "unknown"
    return said[0] + ("+changes" if said[1] else "")


def data_hash(lock: Path = Path("dvc.lock")) -> str:
    """DVC's hash of the raw data that runs/ was made from; `unknown` before the first run."""
    try:
        deps = yaml.safe_load(lock.read_text(encoding="utf-8"))["stages"]["prepare"]["deps"]
        return next(str(dep["md5"]) for dep in deps if dep["path"] == "data")
    except (OSError, yaml.YAMLError, KeyError, TypeError, StopIteration):
        return "unknown"


CODE = ("pipeline", "stages", "params.yaml", "dvc.yaml", "data.dvc", "requirements.txt")  # what decides on results


def read_provenance() -> dict[str, Any]:
    """What is known of: commit, dirty (CODE differs from it), data (MD5 in data.dvc), experiment, baseline (of DVC)."""
    names = {"experiment": "DVC_EXP_NAME", "baseline": "DVC_EXP_BASELINE_REV"}
    told = {name: os.environ[variable] for name, variable in names.items() if os.environ.get(variable)}
    return _commit() | _data() | told


def _commit() -> dict[str, Any]:
    if not _git("ls-tree", "HEAD", "dvc.yaml"):  # no Git here, or the repository of something around us
        return {}
    lines = _git("--no-optional-locks", "status", "--porcelain=v2", "--branch", "--", *CODE).splitlines()
    commit = next(line.split()[-1] for line in lines if line.startswith("# branch.oid"))
    return {"commit": commit, "dirty": any(not line.startswith("#") for line in lines)}


def _git(*words: str) -> str:
    """What Git says; nothing where it fails, or is not there."""
    try:
        done = subprocess.run(["git", *words], capture_output=True, text=True, timeout=10)
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return done.stdout if done.returncode == 0 else ""


def _data() -> dict[str, str]:
    try:
        return {"data": yaml.safe_load(Path("data.dvc").read_text(encoding="utf-8"))["outs"][0]["md5"]}
    except (OSError, ValueError, KeyError, IndexError, TypeError, yaml.YAMLError):
        return {}

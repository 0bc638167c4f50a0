"""The commands that a user types, run in a folder of their own."""

import atexit
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import yaml

ROOT = Path(__file__).parents[2]
STAGES = ["prepare", "fusion", "compare", "curve", "stress", "lidar", "cilp", "project", "classify", "labels"]
STAGES += ["evaluate", "report"]
TUNINGS = ["classify/projector_only", "classify/full"]
DVC_FOLDER = tempfile.mkdtemp(prefix="dvc-")  # the user's DVC is neither read nor written
atexit.register(shutil.rmtree, DVC_FOLDER, ignore_errors=True)
# a Git hook names the repository that it runs for, and no test may write there
HOOKS = ("GIT_DIR", "GIT_WORK_TREE", "GIT_INDEX_FILE", "GIT_OBJECT_DIRECTORY", "GIT_COMMON_DIR", "GIT_PREFIX")
for name in (*HOOKS, "DEVICE"):  # tests name the device themselves
    os.environ.pop(name, None)
REPRO = "python -m pipeline repro"  # the driver starts stages sooner than `dvc repro`
UNTRACKED = "WANDB_MODE=disabled"  # before a command whose runs no test looks at in wandb
ENVIRONMENT = os.environ | {
    "DVC_GLOBAL_CONFIG_DIR": f"{DVC_FOLDER}/global",
    "DVC_SYSTEM_CONFIG_DIR": f"{DVC_FOLDER}/system",
    "DVC_SITE_CACHE_DIR": f"{DVC_FOLDER}/site",
    "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
    "DVC_NO_ANALYTICS": "1",
    "WANDB_MODE": "offline",
    "GIT_CONFIG_GLOBAL": "/dev/null",
} | {f"GIT_{who}_{what}": "a@b" for who in ("AUTHOR", "COMMITTER") for what in ("NAME", "EMAIL")}  # fmt: skip


def shell(folder: Path, command: str, expect: int = 0) -> str:
    done = subprocess.run(command, shell=True, cwd=folder, env=ENVIRONMENT, capture_output=True, text=True)
    assert done.returncode == expect, f"{command}\n{done.stdout}\n{done.stderr}"
    return done.stdout + done.stderr


def set_params(folder: Path, **changes) -> None:
    """Set parameters by key: `set_params(folder, fusion__lr=1)` sets fusion.lr."""
    params = yaml.safe_load((folder / "params.yaml").read_text())
    for name, value in changes.items():
        section = params
        *path, last = name.split("__")
        for part in path:
            section = section[part]
        section[last] = value
    (folder / "params.yaml").write_text(yaml.safe_dump(params, sort_keys=False))


def stages_run(output: str) -> set[str]:
    """Return the stages that `dvc repro` or the driver says it ran."""
    return set(re.findall(r"^(?:Running stage '|start )([\w@-]+)", output, flags=re.M))


def read(folder: Path, name: str) -> dict:
    return json.loads((folder / "runs" / name).read_text())

"""Projects to run commands in: the files that Git knows, run once, and copies of that."""

import os
import shutil
from contextlib import chdir
from pathlib import Path
from tempfile import TemporaryDirectory

from pipeline.tools.presets import default_params
from support.commands import REPRO, ROOT, STAGES, shell, stages_run

LINKED = {".npy", ".png", ".safetensors"}  # the pipeline replaces these files and never writes into one


def copy_makefile(folder: Path) -> None:
    """Copy what make sets an environment up with, and require no package."""
    for name in ("Makefile", "pyproject.toml", "scripts/make_venv.sh"):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(ROOT / name, folder / name)
    for name in ("requirements", "requirements-hub", "requirements-cluster", "requirements-dev", "constraints"):
        (folder / f"{name}.txt").touch()


def copy_sources(folder: Path) -> None:
    """Copy the files that Git would take, but no results and no data; ROOT may be a download without Git."""
    with TemporaryDirectory() as empty:
        ls_files = "git --work-tree=. ls-files --others --exclude-standard"
        names = shell(ROOT, f"git init -q --bare {empty} && GIT_DIR={empty} {ls_files}").splitlines()
    for name in names:
        if (ROOT / name).is_file() and not name.startswith("runs/") and name not in ("dvc.lock", "data.dvc"):
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, folder / name)
    with chdir(ROOT):  # params.yaml is the user's to change: it may hold a preset
        (folder / "params.yaml").write_text(default_params())


def make_finished_run(folder: Path) -> None:
    """Run the smoke preset in a fresh project of 40 scenes, and commit all that it leaves."""
    copy_sources(folder)
    shell(folder, "git init -q . && git add -A && git commit -qm sources")
    shell(folder, "python -m pipeline preset smoke && python -m pipeline simulate data --scenes 40 && dvc add -q data")
    output = shell(folder, f"{REPRO} --jobs 2")
    assert {name.split("@")[0] for name in stages_run(output)} == set(STAGES)
    shell(folder, "git add -A && git commit -qm all")


def copy_project(source: Path, folder: Path) -> Path:
    """Copy a project; large files that nobody writes into are linked."""

    def copy(file: str, target: str) -> None:
        linked = Path(file).suffix in LINKED or "/.dvc/cache/files/" in file
        (os.link if linked else shutil.copy2)(file, target)

    return Path(shutil.copytree(source, folder, copy_function=copy, symlinks=True))

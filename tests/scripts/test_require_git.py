"""`make sweep` asks for what experiments need before it trains."""

import os
import subprocess
from pathlib import Path

import pytest

from support.commands import ENVIRONMENT, ROOT, shell


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "dvc.yaml").touch()
    return tmp_path


def require_git(folder: Path, **variables: str) -> tuple[int, str]:
    """Run the script where nobody has an identity but by `variables`; return its exit code and its errors."""
    environment = {name: value for name, value in ENVIRONMENT.items() if not name.startswith(("GIT_", "EMAIL"))}
    environment |= {"HOME": str(folder), "GIT_CONFIG_NOSYSTEM": "1", **variables}
    command = ["sh", ROOT / "scripts" / "require_git.sh"]
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True)
    return done.returncode, done.stderr


def test_sweep_asks_before_it_trains() -> None:
    plan = shell(ROOT, "make --dry-run sweep VENV=.")
    assert plan.index("scripts/require_git.sh") < plan.index("python -m pipeline repro") < plan.index("pipeline sweep")


def test_a_folder_without_git_is_refused_with_the_cure(folder: Path) -> None:
    code, error = require_git(folder, GIT_CEILING_DIRECTORIES=str(folder.parent))
    assert code == 1 and error.startswith("error: found no Git repository") and "git init" in error


def test_no_identity_is_refused_with_a_cure_that_works(folder: Path) -> None:
    shell(folder, "git init -q . && git add -A && git commit -qm all")
    code, error = require_git(folder)
    assert code == 1 and error.startswith("error: found no name and address") and error.count("\n") == 1
    shell(folder, error.split("fix: ")[1])
    assert require_git(folder) == (0, "")


def test_a_repository_whose_refs_dvc_cannot_read_is_refused(folder: Path) -> None:
    git = folder / "bin" / "git"
    git.parent.mkdir()
    git.write_text("#!/bin/sh\necho reftable\n")  # as a new Git answers when it is asked for its format of refs
    git.chmod(0o755)
    code, error = require_git(folder, PATH=f"{git.parent}:{os.environ['PATH']}")
    assert code == 1 and error.endswith("fix: git refs migrate --ref-format=files\n")

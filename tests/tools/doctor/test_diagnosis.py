"""The command `doctor`, and the problems that a run begins with."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import zc.lockfile
from typer.testing import CliRunner

from pipeline.__main__ import app
from pipeline.core.errors import PipelineError
from pipeline.tools.doctor import diagnosis
from pipeline.tools.doctor.diagnosis import diagnose, format_line, format_summary, print_problems
from pipeline.tools.doctor.finding import Finding, note, ok, problem
from support.commands import ROOT
from support.documents import rows
from support.presets import preset_params

NAMES = "python packages torch cuda device cores memory /dev/shm disk git dvc lock wandb ray".split()


def test_a_finding_is_one_line() -> None:
    assert format_line("disk", ok("2.0 GiB free")) == "ok       disk      2.0 GiB free"
    assert format_line("git", note("found none", "git init")) == "note     git       found none; fix: git init"


def test_the_last_line_counts() -> None:
    findings = {"a": problem("", ""), "b": note("", ""), "c": ok(""), "d": note("", "")}
    assert format_summary(findings) == "problems: 1, notes: 2, of 4 checks"


def test_a_check_that_cannot_be_made_is_a_problem() -> None:
    def absent() -> Finding:
        import no_such_package  # noqa: F401

    def refused() -> Finding:
        raise PipelineError("params.yaml: found two\nlines")

    def barred() -> Finding:
        raise PermissionError(13, "Permission denied", "requirements.txt")

    findings = diagnose({"absent": absent, "refused": refused, "barred": barred})
    assert [finding.status for finding in findings.values()] == 3 * ["problem"]
    assert "no_such_package" in findings["absent"].found and "make setup" in findings["absent"].fix
    assert findings["refused"].found == r"params.yaml: found two\nlines"
    assert findings["barred"].found == "requirements.txt: Permission denied"


def test_absent_packages_are_findings_too(clone: Path) -> None:
    code = """
import sys
for name in ("torch", "psutil", "numpy", "joblib", "yaml", "dvc"):
    sys.modules[name] = None
sys.argv[1:] = ["doctor"]
from pipeline.__main__ import app
app()
"""
    command, environment = [sys.executable, "-c", code], os.environ | {"PYTHONPATH": str(ROOT)}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=60)
    statuses = {line.split()[1]: line.split()[0] for line in done.stdout.splitlines()[:-1]}
    assert done.returncode == 1 and list(statuses) == NAMES
    needed = ("torch", "cuda", "device", "cores", "memory", "disk", "dvc")
    assert {statuses[name] for name in needed} == {"problem"} and "Traceback" not in done.stderr


def doctor(*arguments: str) -> tuple[int, str]:
    result = CliRunner().invoke(app, ["doctor", *arguments])
    return result.exit_code, result.stdout


def test_the_exit_code_says_whether_there_is_a_problem(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(diagnosis, "all_checks", lambda: {"a": lambda: note("found", "fix"), "b": lambda: ok("good")})
    assert doctor() == (
        0,
        "note     a         found; fix: fix\nok       b         good\nproblems: 0, notes: 1, of 2 checks\n",
    )
    monkeypatch.setattr(diagnosis, "all_checks", lambda: {"a": lambda: problem("found", "fix")})
    code, out = doctor("--json")
    assert code == 1 and json.loads(out) == {"a": {"status": "problem", "found": "found", "fix": "fix"}}


def test_the_table_of_the_docs_has_every_check() -> None:
    names = [row[0].split("`")[1] for row in rows(ROOT / "docs" / "deploy.md", "check")]
    assert [name for name in names if name != "gpu 0"] == NAMES


@pytest.fixture
def clone(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """Work in a folder that has what the checks read of a clone, without Git."""
    shutil.copy(ROOT / "requirements.txt", tmp_path)
    (tmp_path / "params.yaml").write_text(preset_params("smoke"))
    (tmp_path / ".dvc" / "tmp").mkdir(parents=True)
    monkeypatch.setenv("DVC_SITE_CACHE_DIR", str(tmp_path / ".dvc" / "site"))
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_every_check_is_made_and_leaves_nothing_beside_dvcs_own_folder(clone: Path) -> None:
    code, out = doctor("--json")
    findings = json.loads(out)
    assert [name for name in findings if not name.startswith("gpu ")] == NAMES
    assert all(finding["found"] and finding["status"] in ("ok", "note", "problem") for finding in findings.values())
    assert sorted(path.name for path in clone.iterdir()) == [".dvc", "params.yaml", "requirements.txt"]
    assert not (clone / ".dvc" / "config.local").exists()


def test_a_run_begins_with_its_problems_alone(clone: Path, monkeypatch: pytest.MonkeyPatch, capsys) -> None:
    full = (1, 1, 10**9, 10**6, 10**6, 0, 0, 0, 0, 255)
    with monkeypatch.context() as faked:
        faked.setattr(os, "statvfs", lambda path: os.statvfs_result(full))
        faked.setattr(sys, "version_info", (3, 10, 1))
        lock = zc.lockfile.LockFile(str(clone / ".dvc" / "tmp" / "lock"))
        print_problems()
        lock.close()
    lines = capsys.readouterr().err.splitlines()
    assert [line.split()[:2] for line in lines] == [["problem", name] for name in ("python", "disk", "lock")]
    assert all("; fix: " in line for line in lines)


def test_params_which_begins_a_run_prints_them_before_its_own(clone: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(diagnosis, "QUICK", {"disk": lambda: problem("found it full", "free space")})
    line = "problem  disk      found it full; fix: free space\n"
    result = CliRunner().invoke(app, ["params"])
    assert (result.exit_code, result.stderr) == (0, line) and result.stdout.startswith("params.yaml: ")
    (clone / "params.yaml").write_text("{")
    result = CliRunner().invoke(app, ["params"])
    assert isinstance(result.exception, PipelineError) and result.output == line

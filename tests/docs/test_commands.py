"""Every command of the pages works: a test runs it, or its line names what it needs or how long it takes."""

import json
import os
import re
import shlex
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest
import typer

from pipeline.__main__ import app
from pipeline.tools.simulator.simulate import simulate
from support.commands import ENVIRONMENT, ROOT, shell
from support.documents import PAGES, Command, commands
from support.proofs import PROOFS, SCENES, Help, Make, Marked, ProvedBy, Run

PRINT_HELPS = """
import contextlib, io, json, runpy, sys
sys.path.insert(0, "")
helps = {}
for module in sys.argv[1:]:
    sys.argv = [module, "--help"]
    with contextlib.redirect_stdout(io.StringIO()) as output:
        try:
            runpy.run_module(module, run_name="__main__", alter_sys=True)
            code = None  # it did not ask for its help
        except SystemExit as end:
            code = end.code
    helps[module] = code, output.getvalue()
print(json.dumps(helps))
"""
DOCUMENTED = [command for page in PAGES for command in commands(page)]


def proved(kind: type) -> list[str]:
    return [text for text, proof in PROOFS.items() if isinstance(proof, kind)]


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Build a home with a downloaded archive, and a small repository that looks like one after `make repro`."""
    home = tmp_path_factory.mktemp("home")
    repository = home / "lab"
    repository.mkdir()
    simulate(repository / "data", SCENES, seed=0)
    (home / "Downloads").mkdir()
    with zipfile.ZipFile(home / "Downloads" / "assessment.zip", "w") as archive:
        for file in sorted((repository / "data").rglob("*.*")):
            archive.write(file, file.relative_to(repository))
    for name in ("pipeline", "presets", "params.yaml", ".gitignore"):
        copy = shutil.copytree if (ROOT / name).is_dir() else shutil.copy2
        copy(ROOT / name, repository / name)
    (repository / "runs").mkdir()
    (repository / "runs" / "metrics.json").write_text("{}")
    (repository / "dvc.lock").write_text("schema: '2.0'\n")
    shell(repository, "git init -q . && dvc init -q && dvc add -q data && git add -A && git commit -qm all")
    return home


def test_every_command_is_listed_with_its_proof_and_none_else() -> None:
    assert {command.text for command in DOCUMENTED} == set(PROOFS)


@pytest.mark.parametrize("command", DOCUMENTED, ids=lambda command: f"{command.page}: {command.text}")
def test_a_command_without_proof_is_marked(command: Command) -> None:
    assert command.marked or not isinstance(PROOFS[command.text], Marked), f"{command}: what does it need or take?"


def test_the_tests_that_prove_commands_exist() -> None:
    code = "\n".join(path.read_text() for path in (ROOT / "tests").rglob("test_*.py"))
    absent = {text: PROOFS[text].name for text in proved(ProvedBy) if f"def {PROOFS[text].name}(" not in code}
    assert absent == {}


@pytest.mark.parametrize("text", [text for text in PROOFS if text.startswith("python -m pipeline ")])
def test_the_command_line_knows_every_subcommand_and_option(text: str) -> None:
    name, *arguments = shlex.split(text)[3:]
    assert typer.main.get_command(app).commands[name].make_context(name, arguments)


@pytest.mark.parametrize("text", proved(Make))
def test_make_knows_the_goal(text: str) -> None:
    assert re.search(PROOFS[text].output, shell(ROOT, text.replace("make", "make --dry-run", 1)))


def test_files_of_requirements_are_there() -> None:
    named = re.findall(r"(?:requirements|constraints)[\w-]*\.txt", " ".join(PROOFS))
    assert named and all((ROOT / name).is_file() for name in named)


@pytest.mark.slow
@pytest.mark.parametrize("text", proved(Run))
def test_a_command_does_as_documented(text: str, finished: Path, tmp_path: Path) -> None:
    proof = PROOFS[text]
    home = Path(shutil.copytree(finished, tmp_path / "home"))
    command = f"{proof.before} && {text.replace(*proof.smaller) if any(proof.smaller) else text}"
    environment = ENVIRONMENT | {"HOME": str(home), "PYTHONDONTWRITEBYTECODE": "1"}
    done = subprocess.run(command, shell=True, cwd=home / "lab", env=environment, capture_output=True, text=True)
    assert done.returncode == 0 and proof.output in done.stdout, done.stdout + done.stderr


@pytest.fixture(scope="module")
def helps() -> dict[str, list]:
    """Return exit code and output of `python -m MODULE --help` for each module; they share one import of torch."""
    modules = {text.split()[2] for text in proved(Help)}
    command, environment = [sys.executable, "-c", PRINT_HELPS, *modules], os.environ | {"COLUMNS": "200"}
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


@pytest.mark.slow
@pytest.mark.parametrize("text", proved(Help))
def test_a_benchmark_knows_its_options(text: str, helps: dict[str, list]) -> None:
    code, output = helps[text.split()[2]]
    assert code == 0 and all(option in output for option in re.findall(r"--\w+", text)), output


@pytest.mark.slow
def test_going_back_to_the_baseline_keeps_every_other_edit(finished: Path, tmp_path: Path) -> None:
    lab = Path(shutil.copytree(finished / "lab", tmp_path / "lab"))
    for name in ("params.yaml", "dvc.lock", "runs/metrics.json", "pipeline/version.py"):
        with (lab / name).open("a") as file:
            file.write("\n")
    shell(lab, "git restore params.yaml dvc.lock runs && dvc checkout")
    assert shell(lab, "git status --short") == " M pipeline/version.py\n"


@pytest.mark.slow
def test_dvc_commit_accepts_the_present_outputs(tmp_path: Path) -> None:
    """Code that changed and gives what it gave before is recorded without a run."""
    (tmp_path / "code.py").write_text("open('out', 'w').write('1')")
    (tmp_path / "dvc.yaml").write_text("stages: {prepare: {cmd: python code.py, deps: [code.py], outs: [out]}}")
    shell(tmp_path, "git init -q . && dvc init -q && dvc repro -q")
    (tmp_path / "code.py").write_text("open('out', 'w').write('1')  # moved")
    assert "code.py" in shell(tmp_path, "dvc status")
    shell(tmp_path, "dvc commit --force prepare")
    assert "up to date" in shell(tmp_path, "dvc status")

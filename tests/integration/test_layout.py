"""The rules of the house: names, import order, declared dependencies, sizes. They read the project; nothing runs."""

import ast
import subprocess
import sys
from dataclasses import fields
from functools import cache
from pathlib import Path

import pytest
import yaml

from pipeline.config.params import Fusion, Params
from support.commands import ROOT

STAGES = yaml.safe_load((ROOT / "dvc.yaml").read_text())["stages"]
PARAMS = yaml.safe_load((ROOT / "params.yaml").read_text())
SOURCES = sorted(path.relative_to(ROOT) for room in ("pipeline", "stages") for path in (ROOT / room).rglob("*.py"))
ROOMS = ["data", "models", "training", "results"]
MAY_IMPORT = {
    "foundation": {"foundation"},
    "data": {"foundation", "data"},
    "models": {"models"},
    "training": {"foundation", "data", "models", "training"},
    "results": {"foundation", "data", "models", "results"},
    "entry": {"foundation", "data", "models", "training", "results"},
}
READ_ONLY = {"compare", "ablation", "evaluate", "report"}  # stages without a section of their own
STAGES["fusion"] = STAGES["fusion"]["do"]  # the only one that is written once for many


def tree(path: Path) -> ast.Module:
    return ast.parse((ROOT / path).read_text())


def room(path: Path) -> str:
    if path.parts[0] == "stages" or path.name == "__main__.py":
        return "entry"
    return path.parts[1] if path.parts[1] in ROOMS else "foundation"


@cache
def imports(path: Path) -> frozenset[Path]:
    """Project files that `path` names in import statements, inside functions too."""
    names = set()
    for node in ast.walk(tree(path)):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            names |= {node.module} | {f"{node.module}.{alias.name}" for alias in node.names}
    files = {Path(*name.split(".")).with_suffix(".py") for name in names}
    return frozenset(file for file in files if file in SOURCES)


def reach(path: Path) -> set[Path]:
    found, todo = {path}, [path]
    while todo:
        fresh = imports(todo.pop()) - found
        found |= fresh
        todo += fresh
    return found


def targets(stage: str, *kinds: str) -> list[str]:
    entries = [entry for kind in kinds for entry in STAGES[stage].get(kind, [])]
    return [entry if isinstance(entry, str) else next(iter(entry)) for entry in entries]


def test_a_stage_is_one_word_everywhere():
    files = {path.stem for path in (ROOT / "stages").glob("[a-z]*.py")}
    assert files == set(STAGES)
    sections = set(STAGES) - READ_ONLY | {"seeds", "matrix"}
    assert sections == set(PARAMS) == {field.name for field in fields(Params)}
    for stage in STAGES:
        assert STAGES[stage]["cmd"].split()[:3] == ["python", "-m", f"stages.{stage}"]
        written = targets(stage, "outs", "metrics", "plots")
        assert written and all(Path(path).parts[:2] == ("runs", stage) for path in written)


def test_sections_stand_in_the_order_of_the_stages():
    assert [name for name in STAGES if name in PARAMS] == [name for name in PARAMS if name in STAGES]


@pytest.mark.parametrize("stage", STAGES)
def test_a_stage_declares_every_file_its_imports_reach(stage):
    declared = {Path(path) for path in targets(stage, "deps") if path.endswith(".py")}
    assert declared == reach(Path("stages") / f"{stage}.py")


@pytest.mark.parametrize("stage", STAGES)
def test_a_stage_declares_the_parameters_it_reads(stage):
    sections = {field.name for field in fields(Params)}
    code = tree(Path("stages") / f"{stage}.py")
    read = {node.attr for node in ast.walk(code) if isinstance(node, ast.Attribute) and _is_params(node.value)}
    declared = {str(entry).split(".")[0] for entry in STAGES[stage].get("params", [])}
    assert read & sections == declared


def test_the_cells_declare_all_of_their_section():
    declared = {entry.split(".")[1] for entry in STAGES["fusion"]["params"] if entry.startswith("fusion.")}
    assert declared == {field.name for field in fields(Fusion)}


def _is_params(node: ast.expr) -> bool:
    """`params` or `load()`, from which a section is taken."""
    called = isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "load"
    return called or (isinstance(node, ast.Name) and node.id == "params")


@pytest.mark.parametrize("path", SOURCES, ids=str)
def test_imports_respect_the_order_of_the_rooms(path):
    for other in imports(path):
        assert room(other) in MAY_IMPORT[room(path)], f"{path} imports {other}"
        assert other.parts[0] != "stages", f"{path} imports a stage"
        assert path not in reach(other), f"{path} and {other} import each other"


def test_only_stages_and_the_command_line_read_params():
    for path in SOURCES:
        named = {
            alias.name for node in ast.walk(tree(path)) if isinstance(node, ast.ImportFrom) for alias in node.names
        }
        if room(path) != "entry" and Path("pipeline/config.py") in imports(path):
            assert "load" not in named, path


def test_stages_stand_below_what_they_read():
    made: list[str] = []
    for stage in STAGES:
        for dep in targets(stage, "deps"):
            if dep.startswith("runs/"):
                assert any(out.startswith(dep.rstrip("/")) for out in made), f"{stage} reads {dep} before it is made"
        made += targets(stage, "outs", "metrics", "plots")


def test_init_files_are_empty():
    assert all((ROOT / path).read_text() == "" for path in SOURCES if path.name == "__init__.py")


def test_files_and_functions_stay_small():
    for path in SOURCES:
        assert len((ROOT / path).read_text().splitlines()) <= 300, path
        for node in ast.walk(tree(path)):
            if isinstance(node, ast.FunctionDef):
                assert node.end_lineno - node.lineno < 60, f"{path}: {node.name}"


def test_importing_the_library_touches_nothing(tmp_path):
    """No file is opened for writing, no socket made, no process started, and wandb and dvc are not imported."""
    names = [
        ".".join(path.with_suffix("").parts) for path in SOURCES if path.name not in ("__init__.py", "__main__.py")
    ]
    code = f"""
import sys
import torch, numpy, pandas, scipy.stats, sklearn.metrics, matplotlib.figure, safetensors.torch, pydantic, typer, tqdm
def hook(event, args):
    written = event == "open" and isinstance(args[1], str) and set(args[1]) & set("wax+")
    if written or event.split(".")[0] in ("socket", "subprocess", "shutil") or event in ("os.remove", "os.mkdir"):
        raise SystemExit(f"import does {{event}} {{args}}")
sys.dont_write_bytecode = True
sys.addaudithook(hook)
import importlib
for name in {names}:
    importlib.import_module(name)
assert not {{"wandb", "dvc"}} & set(sys.modules), "a heavy import at module level"
"""
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr

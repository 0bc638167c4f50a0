"""The rules of the house: names, import order, declared dependencies. They read the project; nothing runs."""

import ast
import re
import shutil
import subprocess
import sys
from dataclasses import fields
from functools import cache
from pathlib import Path

import pytest
import yaml

from pipeline.config.params import Fusion, Params
from support.commands import ROOT, shell

STAGES = yaml.safe_load((ROOT / "dvc.yaml").read_text())["stages"]
STAGES |= {name: STAGES[name]["do"] for name in ("fusion", "stress")}  # written once for every cell
PARAMS = yaml.safe_load((ROOT / "params.yaml").read_text())
SOURCES = sorted(path.relative_to(ROOT) for room in ("pipeline", "stages") for path in (ROOT / room).rglob("*.py"))
# the first only refuses values, the second gives nothing back, and a release is no reason to train
NEVER_A_DEP = {"config", "tracking", "version"}
WITHOUT_A_SECTION = {"compare", "evaluate", "report"}  # stages that only read results
MAY_IMPORT = {
    "version": set(),
    "core": {"version"},
    "config": {"core"},
    "data": {"core"},
    "models": {"core"},
    "render": {"core", "data"},
    "metrics": {"core", "data"},
    "raw": {"core", "config", "data"},
    "jobs": {"core"},
    "tracking": {"core", "data", "render"},
    "training": {"core", "config", "data", "models", "metrics", "tracking"},
    "transfer": {"core", "data", "models", "metrics"},
    "evaluation": {"core", "data", "models", "metrics", "transfer"},
    "report": {"core", "config", "data", "metrics", "render"},
}
MAY_IMPORT["tools"] = {*MAY_IMPORT}
MAY_IMPORT["stages"] = {*MAY_IMPORT} - {"jobs", "tools"}
MAY_IMPORT["__main__"] = {*MAY_IMPORT} - {"stages"}


def tree(path: Path) -> ast.Module:
    return ast.parse((ROOT / path).read_text())


def room(path: Path) -> str:
    return "stages" if path.parts[0] == "stages" else path.with_suffix("").parts[1]


@cache
def imports(path: Path) -> frozenset[Path]:
    """Return the project files that `path` names in import statements, inside functions too."""
    names = set()
    for node in ast.walk(tree(path)):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            names |= {node.module} | {f"{node.module}.{alias.name}" for alias in node.names}
    files = {Path(*name.split(".")).with_suffix(".py") for name in names}
    return frozenset(file for file in files if file in SOURCES)


def reach(path: Path, stop: frozenset[str] = frozenset()) -> set[Path]:
    """Return the files that the imports of `path` reach; what only a room of `stop` reaches is left out."""
    found, todo = {path}, [path]
    while todo:
        file = todo.pop()
        fresh = imports(file) - found if room(file) not in stop else set()
        found |= fresh
        todo += fresh
    return found


def targets(stage: str, *kinds: str) -> list[str]:
    entries = [entry for kind in kinds for entry in STAGES[stage].get(kind, [])]
    return [entry if isinstance(entry, str) else next(iter(entry)) for entry in entries]


def test_a_stage_is_one_word_everywhere():
    files = {path.stem for path in (ROOT / "stages").glob("[a-z]*.py")}
    assert files == set(STAGES)
    sections = set(STAGES) - WITHOUT_A_SECTION | {"seeds", "precision", "matrix"}
    assert sections == set(PARAMS) == {field.name for field in fields(Params)}
    for stage in STAGES:
        assert STAGES[stage]["cmd"].split()[:3] == ["python", "-m", f"stages.{stage}"]
        written = targets(stage, "outs", "metrics", "plots")
        assert written and all(Path(path).parts[:2] == ("runs", stage) for path in written if not is_times(path))
        assert all(Path(path).parts[2] == stage for path in written if is_times(path))


def is_times(path: str) -> bool:
    return Path(path).parts[:2] == ("runs", "times")


def test_no_stage_depends_on_times():
    timed = {stage for stage in STAGES if any(map(is_times, targets(stage, "outs")))}
    assert timed == {"fusion", "curve", "lidar", "cilp", "project", "classify", "labels"}
    for stage in STAGES:
        assert not [dep for dep in targets(stage, "deps") if is_times(dep) or dep.strip("/") == "runs"]


def test_sections_stand_in_the_order_of_the_stages():
    assert [name for name in STAGES if name in PARAMS] == [name for name in PARAMS if name in STAGES]


@pytest.mark.parametrize("stage", STAGES)
def test_a_stage_depends_on_the_rooms_that_its_imports_reach(stage):
    declared = {Path(path) for path in targets(stage, "deps") if path.startswith(("pipeline/", "stages/"))}
    reached = reach(Path("stages") / f"{stage}.py", frozenset(NEVER_A_DEP))
    needed = {path for path in reached if room(path) not in NEVER_A_DEP}
    for path in needed:
        assert declared & {path, *path.parents}, f"{path} is reached and no dep of {stage}"
    for dep in declared:
        assert any(dep in {path, *path.parents} for path in needed), f"{dep} is a dep of {stage} and not reached"
    assert not NEVER_A_DEP & {room(path) for path in declared}


def test_config_invents_no_value():
    for path in SOURCES:
        for node in ast.walk(tree(path)):
            if isinstance(node, ast.ClassDef) and room(path) == "config":
                assert not [each for each in node.body if isinstance(each, ast.AnnAssign) and each.value], path


def test_of_tracking_the_other_rooms_use_only_what_writes():
    """Its functions read Git and data.dvc: a result that used one would have an input that no stage declares."""
    for path in SOURCES:
        if room(path) not in ("tracking", "tools"):
            names = {
                alias.name
                for node in ast.walk(tree(path))
                if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("pipeline.tracking")
                for alias in node.names
            }
            assert names <= {"start_run", "cut_predictions"}, path


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
    """Return whether a node is `params` or `load_params()`, from which a section is read."""
    called = isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "load_params"
    return called or (isinstance(node, ast.Name) and node.id == "params")


@pytest.mark.parametrize("path", SOURCES, ids=str)
def test_rooms_import_as_listed_and_in_no_circle(path):
    for other in imports(path):
        assert room(other) == room(path) or room(other) in MAY_IMPORT[room(path)], f"{path} imports {other}"
        assert other.parts[0] != "stages", f"{path} imports a stage"
        assert path not in reach(other), f"{path} and {other} import each other"


def test_only_stages_and_the_tools_read_params():
    for path in SOURCES:
        names = {
            alias.name for node in ast.walk(tree(path)) if isinstance(node, ast.ImportFrom) for alias in node.names
        }
        if room(path) not in ("stages", "tools", "__main__", "config"):
            assert "load_params" not in names, path


def test_stages_stand_below_what_they_read():
    made: list[str] = []
    for stage in STAGES:
        for dep in targets(stage, "deps"):
            if dep.startswith("runs/"):
                assert any(out.startswith(dep.rstrip("/")) for out in made), f"{stage} reads {dep} before it is made"
        made += targets(stage, "outs", "metrics", "plots")


def test_init_files_are_empty():
    assert all((ROOT / path).read_text() == "" for path in SOURCES if path.name == "__init__.py")


def test_no_duration_depends_on_a_clock_that_can_be_set() -> None:
    """A clock that jumps by a day between stages or in a training changes no bytes, no pace of states, no bar."""
    allowed = {"monotonic", "perf_counter", "process_time", "thread_time", "sleep"}
    for path in SOURCES:
        for node in ast.walk(ast.parse((ROOT / path).read_text())):
            if isinstance(node, ast.Import):
                assert "datetime" not in {each.name for each in node.names}, path
            elif isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id == "time":
                assert node.attr in allowed, path
            elif isinstance(node, ast.ImportFrom):
                assert node.module != "datetime", path
                assert node.module != "time" or {each.name for each in node.names} <= allowed, path


@pytest.mark.slow
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


def test_the_docs_draw_what_dvc_draws(tmp_path):
    for name in ("dvc.yaml", "params.yaml", "data.dvc"):
        shutil.copy(ROOT / name, tmp_path)
    dag = shell(tmp_path, "dvc init -q --no-scm && dvc dag --collapse-foreach-matrix --dot")
    drawn = (ROOT / "docs" / "architecture.md").read_text().split("```mermaid")[1].split("```")[0]
    lines = [line.strip().split(" --> ") for line in drawn.splitlines() if "-->" in line]
    arrows = [(source, target) for source, targets in lines for target in targets.split(" & ")]
    assert sorted(arrows) == sorted(re.findall(r'"(.+)" -> "(.+)"', dag)) and arrows

"""docs/architecture.md describes the project as it is: rooms, imports, stages; test_layout.py compares the graph."""

import ast
from pathlib import Path

import yaml

from support.commands import ROOT
from support.documents import rows

PAGE = ROOT / "docs" / "architecture.md"
ROOMS = {name.strip("`"): imports for name, _, imports in rows(PAGE, "room")}


def imported_rooms(path: Path) -> set[str]:
    """Return the rooms that a file names in import statements, inside functions too."""
    nodes = [node for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.ImportFrom) and node.module]
    return {node.module.split(".")[1] for node in nodes if node.module.startswith("pipeline.")}


def test_the_rooms_are_the_folders_of_the_library() -> None:
    folders = {path.parent.name for path in (ROOT / "pipeline").glob("*/__init__.py")}
    assert set(ROOMS) == folders | {"version"}


def test_rooms_import_as_the_table_lists() -> None:
    for room, allowed in ROOMS.items():
        permitted = set(ROOMS) if allowed == "all rooms" else set(allowed.split(", ")) | {room}
        for path in (ROOT / "pipeline" / room).rglob("*.py"):
            assert imported_rooms(path) <= permitted, path


def test_the_table_of_stages_is_dvcs() -> None:
    stages = yaml.safe_load((ROOT / "dvc.yaml").read_text())["stages"]
    assert [name.strip("`") for name, _ in rows(PAGE, "stage")] == list(stages)

"""What tracks a training gives nothing back, so no result can depend on it."""

import ast
from pathlib import Path

import pytest

FOLDER = Path(__file__).parents[2] / "pipeline" / "tracking"
METHODS = [
    pytest.param(method, id=f"{path.stem}.{owner.name}.{method.name}")
    for path in sorted(FOLDER.glob("*.py"))
    for owner in ast.walk(ast.parse(path.read_text()))
    if isinstance(owner, ast.ClassDef)
    for method in owner.body
    if isinstance(method, ast.FunctionDef) and not method.name.startswith("_")
]


@pytest.mark.parametrize("method", METHODS)
def test_public_methods_return_none(method):
    assert isinstance(method.returns, ast.Constant) and method.returns.value is None
    assert not [node for node in ast.walk(method) if isinstance(node, ast.Return) and node.value is not None]


def test_there_are_methods_to_look_at():
    assert len(METHODS) >= 4

"""A new fusion by the steps of docs/architecture.md: one class, one entry, one line of parameters, one test."""

import re
from pathlib import Path
from textwrap import dedent

import pytest
import yaml

from support.commands import REPRO, ROOT, UNTRACKED, read, set_params, shell
from support.projects import copy_sources

NETS = "pipeline/models/fusion.py"


def insert(path: Path, text: str, before: str) -> None:
    """Insert `text` before the only line that starts with `before`."""
    content, count = re.subn(rf"^{re.escape(before)}", lambda line: text + line[0], path.read_text(), flags=re.M)
    assert count == 1, before
    path.write_text(content)


def read_steps() -> list[str]:
    """Return the blocks of the documented steps: class, entry, parameters, test, command."""
    section = (ROOT / "docs" / "architecture.md").read_text().split("\n## Add a fusion\n")[1].split("\n## ")[0]
    blocks = re.findall(r"^( *)```(\w+)\n(.*?)^ *```", section, flags=re.M | re.S)
    assert [language for _, language, _ in blocks] == ["python", "python", "yaml", "python", "sh"]
    return [dedent(code) for _, _, code in blocks]


@pytest.mark.slow
def test_the_documented_steps_give_a_fusion_that_is_trained_and_compared(tmp_path: Path) -> None:
    new_class, entry, widths, new_test, command = read_steps()
    name = entry.split('"')[1]
    copy_sources(tmp_path)
    insert(tmp_path / NETS, f"{new_class}\n\n", before="class FusionNet(")
    insert(tmp_path / NETS, f"    {entry}", before='    "concat": ')
    insert(tmp_path / "params.yaml", f"    {widths}", before="    concat: ")
    imported = f"import torch\n\nfrom pipeline.models.fusion import {new_class.split('(')[0].split()[1]}\n\n\n"
    (tmp_path / "tests" / "models" / "test_new.py").write_text(imported + new_test)
    assert "1 passed" in shell(tmp_path, "python -m pytest -p no:cacheprovider tests/models/test_new.py")

    cell, parts = re.search(r"'\+matrix\.(\S+)=(\{.*\})'", command).groups()
    assert cell == f"{name}-maxpool"
    shell(tmp_path, "git init -q . && git add -A && git commit -qm all && python -m pipeline preset smoke")
    cells = {"late-maxpool": {"fusion": "late", "downsample": "maxpool", "epochs": 1}, cell: yaml.safe_load(parts)}
    set_params(tmp_path, matrix=cells, curve__fusions=["late", name])
    assert f"2 cells of 2 seeds: late-maxpool, {cell}" in shell(tmp_path, "python -m pipeline params")
    shell(tmp_path, "python -m pipeline simulate data --scenes 40 && dvc add -q data")
    shell(tmp_path, f"{UNTRACKED} {REPRO} compare curve")
    rows = (tmp_path / "runs" / "compare" / "fusion.csv").read_text().splitlines()[1:]
    assert sum(cell in row for row in rows) == 1 and len(rows) == 2
    assert cell in (tmp_path / "runs" / "compare" / "fusion.md").read_text()
    assert list(read(tmp_path, "curve/4/metrics.json")["fusions"]) == ["late", name]

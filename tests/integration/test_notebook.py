"""The notebook: thin, stored without outputs, and run from top to bottom where its results are there already."""

import re
import shutil
from pathlib import Path

import nbformat
import pytest
from nbclient import NotebookClient

from support.commands import ENVIRONMENT, ROOT, shell

NOTEBOOK = ROOT / "notebooks" / "cilp.ipynb"
LINES = 8  # of code in a cell


def notebook(**settings: str) -> nbformat.NotebookNode:
    """Return the notebook as stored, but for the values of its first cell."""
    read = nbformat.read(NOTEBOOK, as_version=4)
    first = next(cell for cell in read.cells if cell.cell_type == "code")
    for name, value in settings.items():
        first.source, count = re.subn(rf'^{name} = ".*?"', f'{name} = "{value}"', first.source, flags=re.M)
        assert count == 1, name
    return read


def run(book: nbformat.NotebookNode, folder: Path, home: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """Run the cells and return their outputs as text; raise if one fails. `home` takes Jupyter's files of a user."""
    own = {name: str(home / name.lower()) for name in ("IPYTHONDIR", "JUPYTER_RUNTIME_DIR", "JUPYTER_CONFIG_DIR")}
    for name, value in (ENVIRONMENT | own).items():
        monkeypatch.setenv(name, value)
    NotebookClient(book, timeout=600, kernel_name="python3", resources={"metadata": {"path": str(folder)}}).execute()
    outputs = [output for cell in book.cells if cell.cell_type == "code" for output in cell.outputs]
    return "\n".join(output.get("text", "") + str(output.get("data", "")) for output in outputs)


def test_it_is_stored_without_outputs_and_does_nothing_itself():
    book = notebook()
    nbformat.validate(book)
    codes = [cell for cell in book.cells if cell.cell_type == "code"]
    for cell in codes:
        assert not cell.outputs and cell.execution_count is None
        assert len(cell.source.splitlines()) <= LINES
        assert not re.search(r"^\s*(def|class|for|while|if|with|try)\b", cell.source, re.M), cell.source
    assert any('VENV="{sys.prefix}"' in cell.source for cell in codes)  # "My Drive" has a space
    assert len(book.cells) - len(codes) >= len(codes) - 1  # a text between two cells announces the next


def test_it_clones_the_repository_where_there_is_none(tmp_path, monkeypatch):
    source, elsewhere = tmp_path / "source", tmp_path / "elsewhere"
    source.mkdir()
    elsewhere.mkdir()
    shutil.copy2(ROOT / "dvc.yaml", source / "dvc.yaml")
    shell(source, "git init -q . && git add -A && git commit -qm all")
    book = notebook(REPOSITORY=str(source))
    setup = next(place for place, cell in enumerate(book.cells) if "git clone" in cell.source)
    book.cells = book.cells[: setup + 1]
    run(book, elsewhere, tmp_path, monkeypatch)
    assert (elsewhere / "rgb-lidar-cilp" / "dvc.yaml").exists()


@pytest.mark.slow
def test_it_runs_from_top_to_bottom(project, tmp_path, monkeypatch):
    text = run(notebook(PRESET="run"), project / "notebooks", tmp_path, monkeypatch)
    assert "stages: 0 run, 0 restored, 20 unchanged" in text  # the true run has been
    for figure in (
        "RGB in LiDAR space, zero-shot",
        "beside the leader",
        "data/cubes/rgb/0003.png",
        "lowest validation",
    ):
        assert figure in text, figure
    assert text.count("'image/png'") == 11 and "srcdoc" in text and "Traceback" not in text and "Error" not in text
    assert shell(project, "git status --porcelain") == ""

"""Links of a raw folder: inside it, out of it, and into DVC's cache."""

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from pipeline.raw.index import index_folder, list_pairs
from pipeline.raw.validate import validate_folder
from support import faults
from support.commands import shell

INIT = "git init -q . && dvc init -q && dvc config cache.type symlink"


@pytest.fixture
def add_as_links(good: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], Path]:
    """Give a DVC project whose data/ holds links into its cache, after further shell commands."""

    def add(configure: str = "true") -> Path:
        project = tmp_path / "project"
        project.mkdir()
        good.rename(project / "data")
        shell(project, f"{INIT} && {configure} && dvc add -q data")
        monkeypatch.chdir(project)
        assert Path("data", faults.RGB).is_symlink()
        return Path("data")

    return add


@pytest.mark.slow
@pytest.mark.parametrize(
    "configure", ["true", "dvc cache dir ../shared-cache", "dvc cache dir --local ../shared-cache"]
)
def test_links_into_dvcs_cache_are_no_issue(add_as_links: Callable, configure: str) -> None:
    data = add_as_links(configure)
    report = validate_folder(index_folder(data), None)
    assert report.issues == [] and report.usable_rows().all() and len(list_pairs(data)) == 6


@pytest.mark.slow
def test_other_links_out_of_the_folder_are_an_issue_in_a_dvc_project_too(add_as_links: Callable) -> None:
    data = add_as_links()
    outside = Path("elsewhere.png")
    shutil.copy(data / faults.RGB, outside)
    (data / faults.RGB).unlink()
    (data / faults.RGB).symlink_to(outside.absolute())
    assert [(issue.code, issue.path) for issue in index_folder(data).issues] == [("link-outside", data / faults.RGB)]


@pytest.mark.slow
def test_a_link_into_an_emptied_cache_is_broken(add_as_links: Callable) -> None:
    data = add_as_links()
    Path(data, faults.RGB).resolve().unlink()
    assert [(issue.code, issue.path) for issue in index_folder(data).issues] == [("broken-link", data / faults.RGB)]


@pytest.mark.slow
def test_the_cache_of_another_project_is_outside(add_as_links: Callable, monkeypatch: pytest.MonkeyPatch) -> None:
    """A configuration that comes with the data may not declare links safe."""
    data = add_as_links().absolute()
    monkeypatch.chdir("/")
    assert {issue.code for issue in index_folder(data).issues} == {"link-outside"}

import os
import re
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from pipeline.core.errors import PipelineError
from pipeline.tools.simulator.default_dataset import ensure_default_dataset
from pipeline.tools.simulator.simulate import simulate

os.environ["DVC_NO_ANALYTICS"] = "1"
DATA = Path("data")


@pytest.fixture(scope="module")
def pinning(tmp_path_factory: pytest.TempPathFactory) -> Callable[[int], Path]:
    """Make a Git and DVC repository that pins so many scenes, seed 0, as data/; each once."""
    from dvc.repo import Repo

    repositories: dict[int, Path] = {}

    def repository(scenes: int) -> Path:
        if scenes not in repositories:
            repositories[scenes] = folder = tmp_path_factory.mktemp("pin") / "repo"
            subprocess.run(["git", "init", "--quiet", folder], check=True)
            simulate(folder / "data", scenes, seed=0)
            with pytest.MonkeyPatch.context() as patch, Repo.init(str(folder)) as repo:
                patch.chdir(folder)
                repo.add("data")
        return repositories[scenes]

    return repository


@pytest.fixture
def inside(
    pinning: Callable[[int], Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Callable[[int], dict[str, bytes]]:
    """Enter a copy of that repository, where the default data set has two scenes; return the contents of data/."""

    def enter(scenes: int) -> dict[str, bytes]:
        monkeypatch.chdir(shutil.copytree(pinning(scenes), tmp_path / "repo"))
        monkeypatch.setattr("pipeline.tools.simulator.default_dataset.SCENES", 2)
        return contents()

    return enter


def contents() -> dict[str, bytes]:
    return {str(path): path.read_bytes() for path in DATA.rglob("*.*")}


def test_an_absent_data_set_is_simulated_as_pinned(inside, capsys: pytest.CaptureFixture[str]) -> None:
    before = inside(2)
    shutil.rmtree(DATA)
    ensure_default_dataset(DATA)
    assert contents() == before and len(before) == 12
    first, last = capsys.readouterr().out.splitlines()
    assert first == "data: absent, simulating the default data set (2 scenes, seed 0)"
    assert re.fullmatch(r"data: hash [0-9a-f]{32}\.dir equals data\.dvc's", last)


def test_the_pinned_data_set_passes_whatever_the_default_is(inside, capsys: pytest.CaptureFixture[str]) -> None:
    before = inside(3)
    ensure_default_dataset(DATA)
    assert contents() == before and "equals data.dvc's" in capsys.readouterr().out


def test_a_users_own_folder_is_refused_and_left_as_it_is(inside) -> None:
    inside(2)
    shutil.rmtree(DATA)
    simulate(DATA, scenes=2, seed=1)
    before, pin = contents(), Path("data.dvc").read_bytes()
    with pytest.raises(PipelineError, match=r"data has the hash \w+\.dir, data\.dvc pins \w+\.dir: .*`dvc add data`"):
        ensure_default_dataset(DATA)
    assert contents() == before and Path("data.dvc").read_bytes() == pin


def test_one_changed_byte_is_found(inside) -> None:
    inside(2)
    path = DATA / "cubes/rgb/0001.png"
    content = bytearray(path.read_bytes())
    content[500] ^= 1
    path.unlink()  # it may be a link into DVC's cache
    path.write_bytes(content)
    with pytest.raises(PipelineError, match="`dvc add data`"):
        ensure_default_dataset(DATA)


def test_another_pinned_set_is_not_replaced_by_the_default(inside) -> None:
    inside(3)
    shutil.rmtree(DATA)
    before = sorted(Path().iterdir())
    with pytest.raises(PipelineError, match=r"data\.dvc pins .* the default data set is .* `dvc pull` or"):
        ensure_default_dataset(DATA)
    assert sorted(Path().iterdir()) == before


@pytest.mark.parametrize("around", [None, "repo/\n"], ids=["no Git", "ignored by a Git around it"])
def test_a_download_without_git_is_set_to_work_without(
    inside, around: str | None, capsys: pytest.CaptureFixture[str]
) -> None:
    before = inside(2)
    shutil.rmtree(".git")
    if around:
        subprocess.run(["git", "init", "--quiet", ".."], check=True)
        Path("../.gitignore").write_text(around)
    ensure_default_dataset(DATA)
    out, err = capsys.readouterr()
    assert contents() == before and "equals data.dvc's" in out
    assert err.startswith("no Git repository knows this folder: DVC works without Git") and err.count("\n") == 1
    ensure_default_dataset(DATA)  # as every later `dvc` does
    assert capsys.readouterr().err == ""


def test_where_dvc_cannot_write_is_named_with_the_cure_before_the_simulation(inside, monkeypatch) -> None:
    inside(2)
    shutil.rmtree(DATA)
    with monkeypatch.context() as read_only:
        read_only.setenv("DVC_SITE_CACHE_DIR", "/proc/none")
        with pytest.raises(PipelineError, match="^/proc/none: No such file .* `export DVC_SITE_CACHE_DIR=") as caught:
            ensure_default_dataset(DATA)
    assert not DATA.exists() and "\n" not in str(caught.value)


def test_a_folder_outside_dvc_is_refused(inside) -> None:
    inside(2)
    shutil.rmtree(".dvc")
    with pytest.raises(PipelineError, match=r"no folder \.dvc here or above; run this in a clone"):
        ensure_default_dataset(DATA)


@pytest.mark.parametrize("content", [None, "outs: [", "outs:\n- path: data\n  sum: 1\n"])
def test_an_absent_or_broken_pin_is_refused(inside, content: str | None) -> None:
    before = inside(2)
    Path("data.dvc").unlink() if content is None else Path("data.dvc").write_text(content)
    with pytest.raises(PipelineError, match=r"data\.dvc.*`git checkout data\.dvc`"):
        ensure_default_dataset(DATA)
    assert contents() == before

"""A tiny data set and one true run, each made once a session. Whoever changes the run takes it back by git and dvc."""

import shutil
import subprocess
from collections import Counter
from importlib.util import find_spec
from pathlib import Path

import pytest

from pipeline.raw.prepare import prepare
from pipeline.raw.splitting import split_by_scene
from pipeline.tools.simulator.simulate import simulate
from support.commands import ROOT, STAGES, shell, stages_run
from support.sets import count_reads

# tests/explore needs FiftyOne, which is in an environment of its own: `make test-explore`
collect_ignore = [] if find_spec("fiftyone") else ["explore"]
OWN = "dvc.lock", "data.dvc", "params.yaml"  # the run makes its own
FRACTIONS = {"train": 0.5, "val": 0.25, "test": 0.25}


@pytest.fixture(scope="session")
def raw_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Six scenes: 12 pairs."""
    folder = tmp_path_factory.mktemp("raw") / "data"
    simulate(folder, scenes=6, seed=0)
    return folder


@pytest.fixture(scope="session")
def pristine(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three scenes, not to be changed."""
    folder = tmp_path_factory.mktemp("raw") / "set"
    simulate(folder, scenes=3, seed=5)
    return folder


@pytest.fixture
def good(pristine: Path, tmp_path: Path) -> Path:
    """Three scenes in a folder of their own, to be broken."""
    return Path(shutil.copytree(pristine, tmp_path / "set"))


@pytest.fixture(scope="session")
def many(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """300 scenes, not to be changed: enough that reading them takes a while."""
    folder = tmp_path_factory.mktemp("many") / "set"
    simulate(folder, scenes=300, seed=2)
    return folder


@pytest.fixture
def reads(monkeypatch: pytest.MonkeyPatch) -> Counter[str]:
    """How often each file of a source that is brought in will be read."""
    return count_reads(monkeypatch)


@pytest.fixture(scope="session")
def prepared(raw_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Their arrays: 3 scenes to train on, 1 val, 2 test."""
    folder = tmp_path_factory.mktemp("prepare") / "arrays"
    prepare(raw_folder, folder, lambda scenes, _: split_by_scene(scenes, FRACTIONS, seed=0))
    return folder


@pytest.fixture(scope="session")
def project(tmp_path_factory) -> Path:
    """The files that git knows (or would take), committed, with everything run once and committed again."""
    folder = tmp_path_factory.mktemp("project")
    listed = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard"], cwd=ROOT, capture_output=True, text=True
    )
    for name in listed.stdout.split("\n"):
        if (ROOT / name).is_file() and not name.startswith("runs/") and name not in OWN:
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, folder / name)
    shell(ROOT, f"python -m pipeline preset smoke --out {folder / 'params.yaml'}")
    shell(folder, "git init -q . && python -m pipeline simulate data --scenes 40 && dvc add -q data")
    output = shell(folder, "dvc repro")
    assert {name.split("@")[0] for name in stages_run(output)} == set(STAGES)
    shell(folder, "git add -A && git commit -qm all")
    return folder

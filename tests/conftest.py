"""A tiny data set and one true run, each made once a session; a test that changes the run gets a copy of its own."""

import gc
import shutil
from collections import Counter
from importlib.util import find_spec
from pathlib import Path

import dvc.logger  # noqa: F401 - it logs to the standard error of its first import, which here is no test's own
import pytest
import torch
from filelock import FileLock

from pipeline.raw.prepare import prepare
from pipeline.raw.splitting import split_by_scene
from pipeline.tools.simulator.simulate import simulate
from support.projects import copy_project, make_finished_run
from support.sets import count_reads

# tests/explore needs FiftyOne, which is in an environment of its own: `make test-explore`
collect_ignore = [] if find_spec("fiftyone") else ["explore"]
FRACTIONS = {"train": 0.5, "val": 0.25, "test": 0.25}
gc.disable()  # till all tests are collected: libraries and tests make no garbage


def pytest_collection_finish() -> None:
    """Let the garbage collector look at what tests make, and not at libraries each time."""
    gc.freeze()
    gc.enable()


@pytest.fixture(scope="session", autouse=True)
def one_thread() -> None:
    """Compute on one thread, as every stage does: tests run side by side."""
    torch.set_num_threads(1)


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
def finished_run(tmp_path_factory: pytest.TempPathFactory, worker_id: str) -> Path:
    """A project after a run of the smoke preset, committed; made once for all workers, not to be changed."""
    shared = tmp_path_factory.getbasetemp()
    shared = shared if worker_id == "master" else shared.parent
    with FileLock(shared / "finished_run.lock"):
        if not (shared / "finished_run" / "whole").exists():
            shutil.rmtree(shared / "finished_run", ignore_errors=True)  # what a failed try of another worker left
            make_finished_run(shared / "finished_run" / "project")
            (shared / "finished_run" / "whole").touch()
    return shared / "finished_run" / "project"


@pytest.fixture
def project(finished_run: Path, tmp_path: Path) -> Path:
    """A copy of the finished run, to be changed."""
    return copy_project(finished_run, tmp_path / "project")

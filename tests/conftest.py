"""A tiny data set, simulated and prepared once a session. Tests read it; whoever wants to change it takes a copy."""

from pathlib import Path

import pytest

from pipeline.data.prepare import prepare
from pipeline.data.simulate import simulate
from pipeline.data.split import by_scene

FRACTIONS = {"train": 0.5, "val": 0.25, "test": 0.25}


@pytest.fixture(scope="session")
def raw_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Six scenes: 12 pairs."""
    folder = tmp_path_factory.mktemp("raw") / "data"
    simulate(folder, scenes=6, seed=0)
    return folder


@pytest.fixture(scope="session")
def prepared(raw_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Their arrays: 3 scenes to train on, 1 val, 2 test."""
    folder = tmp_path_factory.mktemp("prepare") / "arrays"
    prepare(raw_folder, folder, lambda scenes: by_scene(scenes, FRACTIONS, seed=0))
    return folder

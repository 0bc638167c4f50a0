"""Real FiftyOne, with a database and folders of its own: what a user keeps there is not touched."""

import os
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

HOME = Path(tempfile.mkdtemp(prefix="explore-"))
os.environ |= {
    "FIFTYONE_DATABASE_DIR": str(HOME / "database"),
    "FIFTYONE_DEFAULT_DATASET_DIR": str(HOME / "sets"),
    "FIFTYONE_DATASET_ZOO_DIR": str(HOME / "zoo"),
    "FIFTYONE_MODEL_ZOO_DIR": str(HOME / "models"),
    "FIFTYONE_DO_NOT_TRACK": "true",
    "FIFTYONE_DATABASE_VALIDATION": "false",  # the MongoDB that pip brings is the oldest that FiftyOne still takes
}


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A working directory, where the media of the App go."""
    monkeypatch.chdir(tmp_path)
    yield tmp_path

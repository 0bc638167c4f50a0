"""A splitter and a reader that the tests of prepare share."""

from pathlib import Path

import numpy as np

from pipeline.raw.splitting import split_course


def halves(scenes: np.ndarray, _: np.ndarray) -> dict[int, str]:
    """Split six scenes: 0 and 1 train, 2 and 3 test, 4 and 5 val."""
    return split_course(scenes, held_out=2)


def contents(folder: Path) -> dict[str, bytes]:
    """Return file name -> bytes."""
    return {path.name: path.read_bytes() for path in folder.iterdir()}

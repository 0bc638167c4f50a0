"""What every test of a picture asserts."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
from PIL import Image


def assert_drawn_and_repeated(draw: Callable[[Path], None], folder: Path) -> None:
    """Draw a picture twice: it shows something, and its bytes are equal."""
    first, second = folder / "1.png", folder / "2.png"
    draw(first)
    draw(second)
    picture = np.asarray(Image.open(first).convert("RGB"))
    assert len(np.unique(picture.reshape(-1, 3), axis=0)) > 20
    assert first.read_bytes() == second.read_bytes()

"""Bytes of any kind as frames: an array that keeps the contract, or a DataError; never another error."""

import io
from pathlib import Path

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from pipeline.raw.format import DataError, parse_angle, parse_depth, parse_rgb
from support import faults
from support.properties import FEW

BYTES = st.binary(max_size=300)


def saved(array: np.ndarray) -> bytes:
    file = io.BytesIO()
    np.save(file, array)
    return file.getvalue()


FRAME = saved(np.full((64, 64), 20, np.float32))
ANGLES = saved(np.linspace(-0.5, 0.5, 64, dtype=np.float32))


@st.composite
def damaged(draw: st.DrawFn, whole: bytes) -> bytes:
    """Cut a file, or put other bytes into it, mostly near its header."""
    place = draw(st.one_of(st.integers(0, 140), st.integers(0, len(whole))))
    content = whole[:place] + draw(BYTES)
    return content if draw(st.booleans()) else content + whole[len(content) :]


def png_of(folder: Path) -> bytes:
    return (folder / faults.RGB).read_bytes()


@FEW
@given(st.one_of(BYTES, damaged(FRAME)))
def test_depth(content: bytes) -> None:
    try:
        depth = parse_depth(Path("0000.npy"), content)
    except DataError as error:
        assert str(error).startswith("0000.npy: found ") and str(error).isprintable()
        return
    assert depth.shape == (64, 64) and depth.dtype == np.float32 and (depth > 0).all() and (depth <= 50).all()


@FEW
@given(st.one_of(BYTES, damaged(ANGLES)))
def test_angles(content: bytes) -> None:
    try:
        angles = parse_angle(Path("zenith.npy"), content)
    except DataError as error:
        assert str(error).startswith("zenith.npy: found ") and str(error).isprintable()
        return
    assert angles.shape == (64,) and np.isfinite(angles).all() and np.abs(angles).max() <= np.pi


@FEW
@given(data=st.data())
def test_rgb(pristine: Path, data: st.DataObject) -> None:
    content = data.draw(st.one_of(BYTES, damaged(png_of(pristine))))
    try:
        rgb = parse_rgb(Path("0000.png"), content)
    except DataError as error:
        assert str(error).startswith("0000.png: found ") and str(error).isprintable()
        return
    assert rgb.shape == (64, 64, 4) and rgb.dtype == np.uint8

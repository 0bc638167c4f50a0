"""The files of a simulated set: always the same bytes, whole or not at all."""

import hashlib
import io
import os
import shutil
import struct
import zlib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from pipeline.raw.format import DataError, Pair, read_angles, read_depth, read_rgb
from pipeline.raw.index import index_folder, list_pairs
from pipeline.raw.validate import validate_folder
from pipeline.tools.simulator.rendering import render
from pipeline.tools.simulator.simulate import simulate
from pipeline.tools.simulator.world import World, draw_scene
from pipeline.tools.simulator.writing import create_folder, encode_png, write_pair

WORLD = World()


def contents(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in sorted(folder.rglob("*.*"))}


# --- bytes


def test_a_run_is_pinned_byte_for_byte(tmp_path: Path) -> None:
    simulate(tmp_path / "set", scenes=2, seed=0)
    digest = hashlib.sha256()
    for name, content in contents(tmp_path / "set").items():
        digest.update(f"{name} {len(content)}\n".encode() + content)
    assert digest.hexdigest() == "bab58037c22d1e906be9722024e72d59e07589598e809988cd9067c88fc98dbf"


def test_one_seed_gives_one_set_and_another_seed_another(tmp_path: Path) -> None:
    for name, seed in {"a": 3, "b": 3, "c": 4}.items():
        simulate(tmp_path / name, scenes=2, seed=seed)
    first, again, other = (contents(tmp_path / name) for name in "abc")
    assert first == again
    assert {name for name in first if first[name] != other[name]} == {n for n in first if n.count("/") == 2}


def test_a_longer_run_starts_with_the_shorter(tmp_path: Path) -> None:
    simulate(tmp_path / "short", scenes=2, seed=3)
    simulate(tmp_path / "long", scenes=4, seed=3)
    short, long = contents(tmp_path / "short"), contents(tmp_path / "long")
    assert len(short) == 12 and len(long) == 20
    assert short == {name: long[name] for name in short}


def test_the_folder_keeps_the_contract(tmp_path: Path) -> None:
    folder = tmp_path / "new" / "place" / "set"
    simulate(folder, scenes=3, seed=1)
    report = validate_folder(index_folder(folder), None)
    assert report.issues == []
    pairs = list_pairs(folder)
    assert [(pair.label, pair.scene) for pair in pairs] == [(0, 0), (0, 1), (0, 2), (1, 0), (1, 1), (1, 2)]
    azimuth, zenith = read_angles(folder, "spheres")
    expected = np.deg2rad(np.arange(-16, 16, 0.5)).astype(np.float32)
    assert (azimuth == expected).all() and (zenith == expected).all()


def test_files_hold_what_render_gives(tmp_path: Path) -> None:
    simulate(tmp_path / "set", scenes=1, seed=9)
    for pair in list_pairs(tmp_path / "set"):
        rgb, depth = render(draw_scene(9, 0, WORLD), pair.label, WORLD)
        assert (read_rgb(pair.rgb) == rgb).all() and (read_depth(pair.lidar) == depth).all()


# --- a folder appears whole or not at all


@pytest.mark.parametrize("make", [Path.mkdir, Path.touch, lambda path: path.symlink_to("nowhere")])
def test_nothing_is_overwritten(tmp_path: Path, make) -> None:
    make(tmp_path / "set")
    before = os.lstat(tmp_path / "set")
    with pytest.raises(DataError, match="set: found something there already"):
        with create_folder(tmp_path / "set"):
            pytest.fail("refused only after the work")
    assert os.lstat(tmp_path / "set") == before and len(list(tmp_path.iterdir())) == 1


def test_a_folder_made_meanwhile_is_not_replaced(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="already"), create_folder(tmp_path / "set"):
        (tmp_path / "set").mkdir()
    assert [path.name for path in tmp_path.iterdir()] == ["set"]


@pytest.mark.parametrize("scenes, seed", [(0, 0), (-1, 0), (1, -1)])
def test_senseless_requests_are_refused(tmp_path: Path, scenes: int, seed: int) -> None:
    with pytest.raises(DataError, match="at least 1 scene"):
        simulate(tmp_path / "set", scenes, seed)
    assert not list(tmp_path.iterdir())


@pytest.fixture
def third_pair_fails(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> list[list[str]]:
    """Ctrl-C while the third pair is written; notes what stood in the folder above at that time."""
    folder_names: list[list[str]] = []

    def failing(pair: Pair, rgb: np.ndarray, depth: np.ndarray) -> None:
        write_pair(pair, rgb, depth)
        folder_names.append([path.name for path in tmp_path.iterdir()])
        if len(folder_names) == 3:
            raise KeyboardInterrupt

    monkeypatch.setattr("pipeline.tools.simulator.simulate.write_pair", failing)
    return folder_names


def test_an_interrupted_run_leaves_nothing(tmp_path: Path, third_pair_fails: list[list[str]]) -> None:
    with pytest.raises(KeyboardInterrupt):
        simulate(tmp_path / "set", scenes=4, seed=0)
    assert len(third_pair_fails) == 3 and not list(tmp_path.iterdir())


def test_what_a_killed_run_leaves_is_no_data(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, third_pair_fails: list[list[str]]
) -> None:
    monkeypatch.setattr(shutil, "rmtree", lambda *_, **__: None)  # a kill cleans nothing up
    with pytest.raises(KeyboardInterrupt):
        simulate(tmp_path / "set", scenes=4, seed=0)
    (leftover,) = tmp_path.iterdir()
    assert leftover.name == ".set.partial" and all("set" not in names for names in third_pair_fails)
    for path in leftover.glob("cubes/*/0001.*"):
        path.unlink()  # now both classes hold one whole pair
    assert {issue.path.name for issue in index_folder(leftover).issues if issue.code == "missing"} == {
        "azimuth.npy",
        "zenith.npy",
    }


# --- PNG


def test_png_reads_back_the_same_and_is_stored() -> None:
    rgb = np.random.default_rng(0).integers(0, 256, (64, 64, 4), np.uint8)
    content = encode_png(rgb)
    assert (np.array(Image.open(io.BytesIO(content))) == rgb).all()
    assert content[37:41] == b"IDAT"  # 8 signature, 25 header, 4 length
    stream = content[41 : 41 + struct.unpack(">I", content[33:37])[0]]
    lines = zlib.decompress(stream)
    assert stream[2] == 1 and stream[7 : 7 + len(lines)] == lines  # one last block of type 0


def test_png_longer_than_one_block() -> None:
    rgb = np.random.default_rng(0).integers(0, 256, (200, 170, 4), np.uint8)
    assert (np.array(Image.open(io.BytesIO(encode_png(rgb)))) == rgb).all()

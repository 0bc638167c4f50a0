import hashlib
import io
import os
import struct
import zlib
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from pipeline import artifacts
from pipeline.data import raw
from pipeline.data import simulate as sim
from pipeline.data.check import survey
from pipeline.data.geometry import directions, xyza
from pipeline.data.listing import list_folder, list_pairs
from pipeline.data.raw import CLASSES, DataError
from pipeline.data.simulate import Camera, Light, Object, World, draw, encode_png, render, rotation, simulate

WORLD = World()
# The lamp behind the camera lights all that the camera sees, so that both sensors see one outline.
FRONTAL = World(light=Light(towards=(0.0, -1.0, 0.0)), camera=Camera(samples=8))


def contents(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in sorted(folder.rglob("*.*"))}


def points(depth: np.ndarray) -> np.ndarray:
    """Points that came back, (N, 3), by the way that training takes."""
    angles = torch.from_numpy(sim.angles(WORLD.sensor))
    cloud = xyza(torch.from_numpy(depth)[None], directions(angles, angles))[0]  # (4, 64, 64)
    return cloud[:3, cloud[3] == 1].double().T.numpy()


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
    report = survey(list_folder(folder), None)
    assert report.faults == []
    pairs = list_pairs(folder)
    assert [(pair.label, pair.scene) for pair in pairs] == [(0, 0), (0, 1), (0, 2), (1, 0), (1, 1), (1, 2)]
    azimuth, zenith = raw.read_angles(folder, "spheres")
    expected = np.deg2rad(np.arange(-16, 16, 0.5)).astype(np.float32)
    assert (azimuth == expected).all() and (zenith == expected).all()


def test_files_hold_what_render_gives(tmp_path: Path) -> None:
    simulate(tmp_path / "set", scenes=1, seed=9)
    for pair in list_pairs(tmp_path / "set"):
        rgb, depth = render(draw(9, 0, WORLD), pair.label, WORLD)
        assert (raw.read_rgb(pair.rgb) == rgb).all() and (raw.read_depth(pair.lidar) == depth).all()


# --- a folder appears whole or not at all


@pytest.mark.parametrize("make", [Path.mkdir, Path.touch, lambda path: path.symlink_to("nowhere")])
def test_nothing_is_overwritten(tmp_path: Path, make) -> None:
    make(tmp_path / "set")
    before = os.lstat(tmp_path / "set")
    with pytest.raises(DataError, match="set: found something there already"):
        with sim.appearing(tmp_path / "set"):
            pytest.fail("refused only after the work")
    assert os.lstat(tmp_path / "set") == before and len(list(tmp_path.iterdir())) == 1


def test_a_folder_made_meanwhile_is_not_replaced(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="already"), sim.appearing(tmp_path / "set"):
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
    seen: list[list[str]] = []
    write = sim.write_pair

    def failing(pair: raw.Pair, rgb: np.ndarray, depth: np.ndarray) -> None:
        write(pair, rgb, depth)
        seen.append([path.name for path in tmp_path.iterdir()])
        if len(seen) == 3:
            raise KeyboardInterrupt

    monkeypatch.setattr(sim, "write_pair", failing)
    return seen


def test_an_interrupted_run_leaves_nothing(tmp_path: Path, third_pair_fails: list[list[str]]) -> None:
    with pytest.raises(KeyboardInterrupt):
        simulate(tmp_path / "set", scenes=4, seed=0)
    assert len(third_pair_fails) == 3 and not list(tmp_path.iterdir())


def test_what_a_killed_run_leaves_is_no_data(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, third_pair_fails: list[list[str]]
) -> None:
    monkeypatch.setattr(artifacts.shutil, "rmtree", lambda *_, **__: None)  # a kill cleans nothing up
    with pytest.raises(KeyboardInterrupt):
        simulate(tmp_path / "set", scenes=4, seed=0)
    (leftover,) = tmp_path.iterdir()
    assert leftover.name == ".set.partial" and all("set" not in names for names in third_pair_fails)
    for path in leftover.glob("cubes/*/0001.*"):
        path.unlink()  # now both classes hold one whole pair
    assert {fault.path.name for fault in list_folder(leftover).faults if fault.kind == "missing"} == {
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


# --- the sensors, against DATA.md


@pytest.fixture(scope="module")
def frames() -> list[tuple[np.ndarray, np.ndarray]]:
    """By class: RGB (N, 64, 64, 4) and depth (N, 64, 64) of 300 scenes."""
    scenes = [draw(0, index, WORLD) for index in range(300)]
    rendered = [[render(scene, label, WORLD) for scene in scenes] for label in range(len(CLASSES))]
    return [(np.stack([rgb for rgb, _ in each]), np.stack([depth for _, depth in each])) for each in rendered]


# label: returns a frame (least, mean, most), nearest and farthest hit, mean and std over all depths
SEEN = {0: ((149, 286, 490), (17.8, 32.0), (48.16, 6.76)), 1: ((101, 151, 231), (18.6, 30.4), (49.03, 4.99))}


@pytest.mark.parametrize("label", SEEN)
def test_depth_has_the_recordings_statistics(frames, label: int) -> None:
    depth = frames[label][1].astype(np.float64)
    (least, mean, most), hits, totals = SEEN[label]
    returns = (depth < 50).sum((1, 2))
    assert least * 0.95 <= returns.min() < 1.25 * least and most / 1.25 < returns.max() <= most * 1.05
    assert returns.mean() == pytest.approx(mean, rel=0.05)
    back = depth[depth < 50]
    assert (back.min(), back.max()) == pytest.approx(hits, abs=1.0)
    assert back.mean() == pytest.approx(23.7, abs=0.3)
    assert (depth.mean(), depth.std()) == pytest.approx(totals, abs=0.15)


@pytest.mark.parametrize("label, low, high", [(0, 34, 125), (1, 27, 59)])
def test_lit_pixels_are_of_the_recordings_order(frames, label: int, low: int, high: int) -> None:
    lit = (frames[label][0][..., :3].max(-1) > 40).sum((1, 2))
    assert low < np.quantile(lit, 0.05) and np.median(lit) < high and np.quantile(lit, 0.75) < 1.1 * high


def test_background_is_black_and_opaque(frames) -> None:
    for rgb, _ in frames:
        assert (rgb[..., 3] == 255).all() and ((rgb[..., :3] == 0).all(-1).mean((1, 2)) > 0.9).all()


def test_edges_are_smooth_and_the_brightest_pixels_whitish(frames) -> None:
    rgb = frames[1][0][..., :3].astype(int)
    value = rgb.max(-1).reshape(len(rgb), -1)
    brightest = np.take_along_axis(rgb.reshape(len(rgb), -1, 3), value.argmax(1)[:, None, None], 1)[:, 0]
    typical = np.array([np.median(frame[frame.max(-1) > 0], axis=0) for frame in rgb])
    assert (brightest.min(-1) / brightest.max(-1)).mean() > 0.15 + (typical.min(-1) / typical.max(-1)).mean()
    assert all(len(np.unique(row)) > 20 for row in value)


def test_colours_and_centres_fill_their_boxes() -> None:
    scenes = [draw(0, index, WORLD) for index in range(300)]
    colours, centres = (np.array([getattr(scene, name) for scene in scenes]) for name in ("colour", "centre"))
    assert (colours.min(0) < 0.1).all() and (colours.max(0) > 0.95).all() and (colours >= 0.05).all()
    assert np.abs(np.corrcoef(colours.T) - np.eye(3)).max() < 0.2
    np.testing.assert_allclose([centres.min(0), centres.max(0)], [[-5, 20, -5], [5, 30, 5]], atol=0.3)


def test_rotations_are_proper_and_uniform() -> None:
    draws = np.random.default_rng(0).random((2000, 3))
    turns = np.array([rotation(*row) for row in draws])
    np.testing.assert_allclose(turns @ turns.transpose(0, 2, 1) - np.eye(3), 0, atol=1e-12)
    np.testing.assert_allclose(np.linalg.det(turns), 1)
    # Over all rotations each entry has mean 0 and variance 1/3, the trace mean 0 and variance 1.
    assert np.abs(turns.mean(0)).max() < 0.05 and np.abs(turns.var(0) - 1 / 3).max() < 0.03
    trace = turns.trace(axis1=1, axis2=2)
    assert abs(trace.mean()) < 0.1 and abs(trace.var() - 1) < 0.1


# --- the sensors, against geometry


@pytest.mark.parametrize("index", range(5))
def test_the_lidar_hits_the_solids_surface(index: int) -> None:
    scene = draw(1, index, WORLD)
    cube, sphere = (points(render(scene, label, WORLD)[1]) - scene.centre for label in (0, 1))
    np.testing.assert_allclose(np.linalg.norm(sphere, axis=1), 1.5, atol=1e-3)
    local, eye = cube @ scene.rotation, -scene.centre @ scene.rotation  # in the cube's own axes
    np.testing.assert_allclose(np.abs(local).max(1), 1.5, atol=1e-3)
    face = np.abs(local).argmax(1)
    assert (np.take_along_axis(local, face[:, None], 1)[:, 0] * eye[face] > 0).mean() > 0.97  # its near side
    assert ((sphere @ -scene.centre) > 0).all()


def test_ranges_lie_on_the_grid_that_hides_rounding(frames) -> None:
    scaled = frames[0][1].astype(np.float64) * 2**12
    assert (scaled == np.rint(scaled)).all()


def test_every_ray_is_traced_as_if_there_were_no_shortcut(frames) -> None:
    scene = draw(0, 0, WORLD)
    for label, solid in enumerate(sim.SOLIDS.values()):
        reach, _ = solid.trace(sim.beams(WORLD.sensor), scene, 1.5)
        exact = np.minimum(reach, 50).reshape(64, 64)
        np.testing.assert_allclose(frames[label][1][0], exact, rtol=0, atol=2**-13)  # half a grain


@pytest.mark.parametrize("label", range(2))
def test_both_sensors_see_one_outline(label: int) -> None:
    world = replace(FRONTAL, object=Object(spread=3.0))  # well inside the LiDAR's narrower view
    for index in range(20):
        rgb, depth = render(draw(2, index, world), label, world)
        x, y, z = points(depth).T
        column, row = 31.5 + 73.3 * x / y, 31.5 - 73.3 * z / y
        lit = np.argwhere(rgb[..., :3].any(-1))
        assert lit.mean(0) == pytest.approx((row.mean(), column.mean()), abs=0.5)
        assert rgb[np.rint(row).astype(int), np.rint(column).astype(int), :3].any(-1).mean() > 0.98


def test_light_comes_from_the_upper_left() -> None:
    for index in range(20):
        scene = draw(2, index, WORLD)
        rgb, _ = render(scene, 1, WORLD)
        row, column = np.argwhere(rgb[..., :3].sum(-1) > 60).mean(0)
        x, y, z = scene.centre
        assert 0 < (31.5 + 73.3 * x / y) - column < 3.5 and 0 < (31.5 - 73.3 * z / y) - row < 3.5


def test_a_face_square_to_the_lamp_has_the_tone_curves_value() -> None:
    plain = replace(WORLD, light=Light(towards=(0.0, -2.0, 0.0), white=0.0))
    scene = sim.Scene(np.array([0.0, 25.0, 0.0]), np.eye(3), np.array([0.5, 0.25, 1.0]))
    expected = [round(255 * (1.1 * 0.5) ** (1 / 1.4)), round(255 * (1.1 * 0.25) ** (1 / 1.4)), 255, 255]
    assert render(scene, 0, plain)[0][32, 32].tolist() == expected == [166, 101, 255, 255]


def test_a_cube_square_to_the_sensors_is_exact() -> None:
    scene = sim.Scene(np.array([0.0, 25.0, 0.0]), np.eye(3), np.ones(3))
    rgb, depth = render(scene, 0, FRONTAL)
    assert depth[32, 32] == 23.5
    assert depth[32, 31] == pytest.approx(23.5 / np.cos(np.deg2rad(0.5)), abs=2**-12)
    assert (depth < 50).sum() == 15 * 15  # atan(1.5 / 23.5) = 3.65 degrees: k = -7 .. 7
    assert (rgb[..., 0] > 0).sum() == 10 * 10  # 73.3 * 1.5 / 23.5 = 4.68 pixels each way


def test_an_object_beyond_the_longest_range_does_not_come_back() -> None:
    far = World(object=Object(distance=60.0))
    rgb, depth = render(draw(0, 0, far), 0, far)
    assert (depth == 50).all() and rgb[..., :3].any()


def test_a_world_that_swallows_the_sensor_is_refused() -> None:
    with pytest.raises(ValueError, match="swallow"):
        World(object=Object(distance=7.0))

"""Simulated frames compared with the recordings and with geometry."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from pipeline.core.sensors import CLASSES
from pipeline.data.geometry import ray_directions, xyza
from pipeline.tools.simulator.rendering import lidar_rays, ray_angles, render
from pipeline.tools.simulator.solids import SOLIDS
from pipeline.tools.simulator.world import Camera, Light, Object, Scene, World, draw_scene, uniform_rotation

WORLD = World()
# The lamp behind the camera lights all that the camera sees, so that both sensors see one outline.
FRONTAL = World(light=Light(towards=(0.0, -1.0, 0.0)), camera=Camera(samples=8))


def points(depth: np.ndarray) -> np.ndarray:
    """Compute the points that returned, (N, 3), as training does."""
    angles = torch.from_numpy(ray_angles(WORLD.sensor))
    cloud = xyza(torch.from_numpy(depth)[None], ray_directions(angles, angles))[0]  # (4, 64, 64)
    return cloud[:3, cloud[3] == 1].double().T.numpy()


# --- the sensors, against the statistics of the recordings


@pytest.fixture(scope="module")
def frames() -> list[tuple[np.ndarray, np.ndarray]]:
    """By class: RGB (N, 64, 64, 4) and depth (N, 64, 64) of 300 scenes."""
    scenes = [draw_scene(0, index, WORLD) for index in range(300)]
    rendered = [[render(scene, label, WORLD) for scene in scenes] for label in range(len(CLASSES))]
    return [(np.stack([rgb for rgb, _ in each]), np.stack([depth for _, depth in each])) for each in rendered]


# label: returns a frame (least, mean, most), nearest and farthest hit, mean and std over all depths
RECORDED = {0: ((149, 286, 490), (17.8, 32.0), (48.16, 6.76)), 1: ((101, 151, 231), (18.6, 30.4), (49.03, 4.99))}


@pytest.mark.parametrize("label", RECORDED)
def test_depth_has_the_recordings_statistics(frames, label: int) -> None:
    depth = frames[label][1].astype(np.float64)
    (least, mean, most), hits, totals = RECORDED[label]
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


def test_colors_and_centers_fill_their_boxes() -> None:
    scenes = [draw_scene(0, index, WORLD) for index in range(300)]
    colors, centers = (np.array([getattr(scene, name) for scene in scenes]) for name in ("color", "center"))
    assert (colors.min(0) < 0.1).all() and (colors.max(0) > 0.95).all() and (colors >= 0.05).all()
    assert np.abs(np.corrcoef(colors.T) - np.eye(3)).max() < 0.2
    np.testing.assert_allclose([centers.min(0), centers.max(0)], [[-5, 20, -5], [5, 30, 5]], atol=0.3)


def test_rotations_are_proper_and_uniform() -> None:
    draws = np.random.default_rng(0).random((2000, 3))
    turns = np.array([uniform_rotation(*row) for row in draws])
    np.testing.assert_allclose(turns @ turns.transpose(0, 2, 1) - np.eye(3), 0, atol=1e-12)
    np.testing.assert_allclose(np.linalg.det(turns), 1)
    # Over all rotations each entry has mean 0 and variance 1/3, the trace mean 0 and variance 1.
    assert np.abs(turns.mean(0)).max() < 0.05 and np.abs(turns.var(0) - 1 / 3).max() < 0.03
    trace = turns.trace(axis1=1, axis2=2)
    assert abs(trace.mean()) < 0.1 and abs(trace.var() - 1) < 0.1


# --- the sensors, against geometry


@pytest.mark.parametrize("index", range(5))
def test_the_lidar_hits_the_solids_surface(index: int) -> None:
    scene = draw_scene(1, index, WORLD)
    cube, sphere = (points(render(scene, label, WORLD)[1]) - scene.center for label in (0, 1))
    np.testing.assert_allclose(np.linalg.norm(sphere, axis=1), 1.5, atol=1e-3)
    local, eye = cube @ scene.rotation, -scene.center @ scene.rotation  # in the cube's own axes
    np.testing.assert_allclose(np.abs(local).max(1), 1.5, atol=1e-3)
    face = np.abs(local).argmax(1)
    assert (np.take_along_axis(local, face[:, None], 1)[:, 0] * eye[face] > 0).mean() > 0.97  # its near side
    assert ((sphere @ -scene.center) > 0).all()


def test_ranges_lie_on_the_grid_that_hides_rounding(frames) -> None:
    scaled = frames[0][1].astype(np.float64) * 2**12
    assert (scaled == np.rint(scaled)).all()


def test_every_ray_is_traced_as_if_there_were_no_shortcut(frames) -> None:
    scene = draw_scene(0, 0, WORLD)
    for label, solid in enumerate(SOLIDS.values()):
        distance, _ = solid.trace(lidar_rays(WORLD.sensor), scene.center, scene.rotation, 1.5)
        exact = np.minimum(distance, 50).reshape(64, 64)
        np.testing.assert_allclose(frames[label][1][0], exact, rtol=0, atol=2**-13)  # half a grain


@pytest.mark.parametrize("label", range(2))
def test_both_sensors_see_one_outline(label: int) -> None:
    world = replace(FRONTAL, object=Object(spread=3.0))  # well inside the LiDAR's narrower view
    for index in range(20):
        rgb, depth = render(draw_scene(2, index, world), label, world)
        x, y, z = points(depth).T
        column, row = 31.5 + 73.3 * x / y, 31.5 - 73.3 * z / y
        lit = np.argwhere(rgb[..., :3].any(-1))
        assert lit.mean(0) == pytest.approx((row.mean(), column.mean()), abs=0.5)
        assert rgb[np.rint(row).astype(int), np.rint(column).astype(int), :3].any(-1).mean() > 0.98


def test_light_comes_from_the_upper_left() -> None:
    for index in range(20):
        scene = draw_scene(2, index, WORLD)
        rgb, _ = render(scene, 1, WORLD)
        row, column = np.argwhere(rgb[..., :3].sum(-1) > 60).mean(0)
        x, y, z = scene.center
        assert 0 < (31.5 + 73.3 * x / y) - column < 3.5 and 0 < (31.5 - 73.3 * z / y) - row < 3.5


def test_a_face_square_to_the_lamp_has_the_tone_curves_value() -> None:
    plain = replace(WORLD, light=Light(towards=(0.0, -2.0, 0.0), white=0.0))
    scene = Scene(np.array([0.0, 25.0, 0.0]), np.eye(3), np.array([0.5, 0.25, 1.0]))
    expected = [round(255 * (1.1 * 0.5) ** (1 / 1.4)), round(255 * (1.1 * 0.25) ** (1 / 1.4)), 255, 255]
    assert render(scene, 0, plain)[0][32, 32].tolist() == expected == [166, 101, 255, 255]


def test_a_cube_square_to_the_sensors_is_exact() -> None:
    scene = Scene(np.array([0.0, 25.0, 0.0]), np.eye(3), np.ones(3))
    rgb, depth = render(scene, 0, FRONTAL)
    assert depth[32, 32] == 23.5
    assert depth[32, 31] == pytest.approx(23.5 / np.cos(np.deg2rad(0.5)), abs=2**-12)
    assert (depth < 50).sum() == 15 * 15  # atan(1.5 / 23.5) = 3.65 degrees: k = -7 .. 7
    assert (rgb[..., 0] > 0).sum() == 10 * 10  # 73.3 * 1.5 / 23.5 = 4.68 pixels each way


def test_an_object_beyond_the_longest_range_does_not_come_back() -> None:
    far = World(object=Object(distance=60.0))
    rgb, depth = render(draw_scene(0, 0, far), 0, far)
    assert (depth == 50).all() and rgb[..., :3].any()


def test_a_world_that_swallows_the_sensor_is_refused() -> None:
    with pytest.raises(ValueError, match="swallow"):
        World(object=Object(distance=7.0))

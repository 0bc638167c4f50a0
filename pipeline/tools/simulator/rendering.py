"""Frames of a scene as both sensors record them, by ray tracing. Axes and units are those of world.py."""

from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from pipeline.core.sensors import CLASSES, IMAGE_SIZE, NO_RETURN
from pipeline.tools.simulator.solids import SOLIDS, Floats, Solid
from pipeline.tools.simulator.world import Light, Scene, Sensor, World


def render(scene: Scene, label: int, world: World) -> tuple[NDArray[np.uint8], NDArray[np.float32]]:
    """Render RGBA (64, 64, 4) uint8 and depth (64, 64) float32 of the scene with a solid of class `label` in it."""
    solid = SOLIDS[CLASSES[label]]
    return render_rgb(scene, solid, world), render_depth(scene, solid, world)


# --- the LiDAR


def render_depth(scene: Scene, solid: Solid, world: World) -> NDArray[np.float32]:
    """Compute the range along each LiDAR ray: (64, 64) float32 by azimuth and zenith, 50 for no return."""
    rays, half = lidar_rays(world.sensor), world.object.edge / 2
    # Only rays inside the cone around the enclosing sphere can hit: about one in ten.
    edge = np.sqrt(scene.center @ scene.center - (solid.radius * half) ** 2)
    near = np.flatnonzero(scene.center @ rays >= edge)
    distance, _ = solid.trace(rays[:, near], scene.center, scene.rotation, half)
    depth = np.full(IMAGE_SIZE * IMAGE_SIZE, NO_RETURN, np.float32)
    depth[near] = np.minimum(np.rint(distance / world.sensor.grain) * world.sensor.grain, NO_RETURN)
    return depth.reshape(IMAGE_SIZE, IMAGE_SIZE)


def ray_angles(sensor: Sensor) -> NDArray[np.float32]:
    """Compute the angles of the rows, which are also those of the columns: (64,) float32 radians."""
    return np.deg2rad(sensor.step * (sensor.first + np.arange(IMAGE_SIZE))).astype(np.float32)


@lru_cache(maxsize=4)
def lidar_rays(sensor: Sensor) -> Floats:
    """Compute unit vectors of the LiDAR rays, (3, 64 * 64), from the float32 angles that readers will find."""
    negated = -ray_angles(sensor).astype(np.float64)  # the sensor counts against the axes
    az, ze = np.meshgrid(negated, negated, indexing="ij")
    rays = np.stack([np.sin(az) * np.cos(ze), np.cos(az) * np.cos(ze), np.sin(ze)]).reshape(3, -1)
    rays.flags.writeable = False  # all callers share it
    return rays


# --- the camera


def render_rgb(scene: Scene, solid: Solid, world: World) -> NDArray[np.uint8]:
    """Render the lit part of the object on exact black: RGBA (64, 64, 4) uint8, alpha 255."""
    half, count, focal = world.object.edge / 2, world.camera.samples, world.camera.focal
    columns, rows = pixel_bounds(scene.center, solid.radius * half, focal)
    fine = (np.arange(count) + 0.5) / count - 0.5  # sample offsets within a pixel
    right = ((np.arange(*columns)[:, None] + fine).ravel() - (IMAGE_SIZE - 1) / 2) / focal  # x / y
    up = ((IMAGE_SIZE - 1) / 2 - (np.arange(*rows)[:, None] + fine).ravel()) / focal  # z / y
    rays = np.ones((3, len(up), len(right)))
    rays[0], rays[2] = right, up[:, None]
    distance, normals = solid.trace(rays.reshape(3, -1), scene.center, scene.rotation, half)
    lamp = np.array(world.light.towards) / np.linalg.norm(world.light.towards)
    shade = np.where(np.isfinite(distance), np.maximum(lamp @ normals, 0), 0)
    shade = shade.reshape(len(up) // count, count, len(right) // count, count).mean((1, 3))  # (rows, columns)
    image = np.zeros((IMAGE_SIZE, IMAGE_SIZE, 4), np.uint8)
    image[..., 3] = 255
    image[slice(*rows), slice(*columns), :3] = apply_tone_curve(shade, scene.color, world.light)
    return image


def apply_tone_curve(shade: Floats, color: Floats, light: Light) -> NDArray[np.uint8]:
    """Turn shade (H, W), the cosine to the lamp averaged over a pixel, into stored values (H, W, 3) uint8."""
    fade = light.white * shade[..., None] ** light.white_power
    linear = light.gain * shade[..., None] * (color + (1 - color) * fade)
    return np.rint(255 * np.minimum(linear, 1) ** (1 / light.gamma)).astype(np.uint8)


def pixel_bounds(center: Floats, radius: float, focal: float) -> tuple[tuple[int, int], tuple[int, int]]:
    """Compute the bounds (first, past last) of the columns and of the rows that hold the image of a sphere."""
    x, y, z = center
    bounds = []
    for offset in (x, -z):  # columns grow to the right, rows downwards
        middle, width = np.arctan2(offset, y), np.arcsin(radius / np.hypot(offset, y))
        low, high = (IMAGE_SIZE - 1) / 2 + focal * np.tan([middle - width, middle + width])
        first, last = np.clip([np.floor(low), np.ceil(high) + 1], 0, IMAGE_SIZE)
        bounds.append((int(first), int(last)))
    return bounds[0], bounds[1]

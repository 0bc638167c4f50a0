"""The simulated world: every constant of it, and the scenes drawn from a seed.

Lengths are Omniverse units; axes are x right, y forward (away from the sensors), z up, sensors at the origin.
"""

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from pipeline.tools.simulator.solids import SOLIDS, Floats


@dataclass(frozen=True)
class Sensor:
    """The LiDAR: rows are azimuth, columns are zenith, both at k * step for k = first .. first + 63."""

    step: float = 0.5  # degrees between neighboring rays
    first: int = -32  # k of row and column 0
    grain: float = 2.0**-12  # ranges are rounded to this, which hides last-bit differences between processors


@dataclass(frozen=True)
class Object:
    """The solid in view and where it may stand; its rotation is uniform over all rotations."""

    edge: float = 3.0  # of the cube; the diameter of the sphere
    distance: float = 25.0  # mean y of the center
    spread: float = 5.0  # the center is uniform within +-spread of its mean on each axis
    darkest: float = 0.05  # each color channel is uniform in [darkest, 1], linear light


@dataclass(frozen=True)
class Camera:
    """A pinhole camera at the LiDAR's place, looking along y."""

    focal: float = 73.3  # pixels
    samples: int = 4  # rays per pixel along each axis, averaged against aliasing


@dataclass(frozen=True)
class Light:
    """One distant lamp with Lambert's law and no ambient light, and the tone curve of the camera."""

    towards: tuple[float, float, float] = (-0.68, -0.48, 0.55)  # object to lamp: right, away, up; any length
    gain: float = 1.1  # linear light of a white face square to the lamp
    gamma: float = 1.4  # stored value = linear light ** (1 / gamma)
    white: float = 0.6  # how far a face square to the lamp fades from its color (0) to white (1)
    white_power: float = 4.0  # larger: only the brightest pixels fade


@dataclass(frozen=True)
class World:
    """Every constant of the simulator; the defaults fit the real recordings. Raises ValueError if it cannot be."""

    sensor: Sensor = Sensor()
    object: Object = Object()
    camera: Camera = Camera()
    light: Light = Light()

    def __post_init__(self) -> None:
        nearest = self.object.distance - self.object.spread
        radius = max(solid.radius for solid in SOLIDS.values()) * self.object.edge / 2
        if nearest <= radius:
            raise ValueError(f"the object can swallow the sensor: keep distance - spread above {radius:g}")


class Scene(NamedTuple):
    """What the cube and the sphere of one scene have in common."""

    center: Floats  # (3,)
    rotation: Floats  # (3, 3), columns are the cube's axes; a sphere ignores it
    color: Floats  # (3,) linear light, 0 .. 1


def draw_scene(seed: int, index: int, world: World) -> Scene:
    """Draw scene `index` of a data set: nine uniform draws, independent of all other scenes."""
    draws = np.random.default_rng([seed, index]).random(9)
    center = np.array([0.0, world.object.distance, 0.0]) + world.object.spread * (2 * draws[:3] - 1)
    color = world.object.darkest + (1 - world.object.darkest) * draws[6:]
    return Scene(center, uniform_rotation(*draws[3:6]), color)


def uniform_rotation(a: float, b: float, c: float) -> Floats:
    """Turn uniform draws in [0, 1) into a uniform rotation (3, 3), by way of Shoemake's unit quaternion (1992)."""
    inner, outer = np.sqrt(1 - a), np.sqrt(a)
    x, y = inner * np.sin(2 * np.pi * b), inner * np.cos(2 * np.pi * b)
    z, w = outer * np.sin(2 * np.pi * c), outer * np.cos(2 * np.pi * c)
    return np.array([
        [1 - 2 * (y * y + z * z), 2 * (x * y - z * w), 2 * (x * z + y * w)],
        [2 * (x * y + z * w), 1 - 2 * (x * x + z * z), 2 * (y * z - x * w)],
        [2 * (x * z - y * w), 2 * (y * z + x * w), 1 - 2 * (x * x + y * y)],
    ])  # fmt: skip

"""Writes a raw folder from a seed, byte for byte repeatable. Ray-casts both sensors; never reads arrays back.

Lengths are Omniverse units; axes are x right, y forward (away from the sensors), z up, sensors at the origin.
"""

import struct
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from tqdm import tqdm

from pipeline.core.files import atomic_folder
from pipeline.core.sensors import CLASSES, IMAGE_SIZE, NO_RETURN
from pipeline.raw.format import DataError, Issue, Pair, pair_at, require_absent

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Sensor:
    """The LiDAR: rows are azimuth, columns are zenith, both at k * step for k = first .. first + 63."""

    step: float = 0.5  # degrees between neighbouring rays
    first: int = -32  # k of row and column 0
    grain: float = 2.0**-12  # ranges are rounded to this, which hides machines' last-bit differences


@dataclass(frozen=True)
class Object:
    """The solid in view and where it may stand; its rotation is uniform over all rotations."""

    edge: float = 3.0  # cube edge = sphere diameter
    distance: float = 25.0  # mean of the centre's y
    spread: float = 5.0  # the centre is uniform within +-spread on each axis
    darkest: float = 0.05  # each colour channel is uniform in [darkest, 1], linear light


@dataclass(frozen=True)
class Camera:
    """A pinhole at the LiDAR's place, looking along y."""

    focal: float = 73.3  # pixels
    samples: int = 4  # rays per pixel along each axis, averaged: the anti-aliasing


@dataclass(frozen=True)
class Light:
    """One distant lamp, Lambert, no ambient; then the tone curve."""

    towards: tuple[float, float, float] = (-0.68, -0.48, 0.55)  # object to lamp: right, away, up; any length
    gain: float = 1.1  # linear light of a white face square to the lamp
    gamma: float = 1.4  # stored value = linear light ** (1 / gamma)
    white: float = 0.6  # how far a face square to the lamp fades from its colour (0) to white (1)
    white_power: float = 4.0  # larger: only the brightest pixels fade


@dataclass(frozen=True)
class World:
    """Every constant of the simulator; the defaults fit the real recordings."""

    sensor: Sensor = Sensor()
    object: Object = Object()
    camera: Camera = Camera()
    light: Light = Light()

    def __post_init__(self) -> None:
        nearest = self.object.distance - self.object.spread
        reach = max(solid.reach for solid in SOLIDS.values()) * self.object.edge / 2
        if nearest <= reach:
            raise ValueError(f"the object can swallow the sensor: keep distance - spread above {reach:g}")


class Scene(NamedTuple):
    """What both classes of one index share."""

    centre: Floats  # (3,)
    rotation: Floats  # (3, 3), columns are the cube's axes; a sphere ignores it
    colour: Floats  # (3,) linear light, 0 .. 1


class Solid(NamedTuple):
    trace: Callable[[Floats, Scene, float], tuple[Floats, Floats]]  # see "solids" below
    reach: float  # radius of the enclosing sphere, in half edges


def simulate(folder: Path, scenes: int, seed: int, world: World | None = None) -> None:
    """Write `scenes` cubes and as many spheres as a raw folder that appears whole or not at all.

    Scene i depends on (seed, i, world) alone, so a longer run starts with the shorter one. Raises DataError
    when the folder is already there (nothing is ever overwritten), for no scenes and for a negative seed.
    """
    if scenes < 1 or seed < 0:
        asked = f"{scenes} scenes from seed {seed} asked for"
        raise DataError(Issue("asked", folder, asked, "at least 1 scene and a seed from 0 up", "ask for those"))
    world = world or World()
    with appearing(folder) as partial:
        for name in CLASSES:
            (partial / name / "rgb").mkdir(parents=True)
            (partial / name / "lidar").mkdir()
        for index in tqdm(range(scenes), desc=f"simulate {folder.name}", unit="scene", disable=None):
            scene = draw(seed, index, world)
            for label in range(len(CLASSES)):
                write_pair(pair_at(partial, label, index), *render(scene, label, world))
        for name in CLASSES:  # last: without angles the remains of a killed run fail every check
            write_angles(partial / name, angles(world.sensor), angles(world.sensor))


# --- the scene and what the sensors see of it


def draw(seed: int, index: int, world: World) -> Scene:
    """The random part of scene `index`; nine uniform draws, independent of all other scenes."""
    draws = np.random.default_rng([seed, index]).random(9)
    centre = np.array([0.0, world.object.distance, 0.0]) + world.object.spread * (2 * draws[:3] - 1)
    colour = world.object.darkest + (1 - world.object.darkest) * draws[6:]
    return Scene(centre, rotation(*draws[3:6]), colour)


def rotation(a: float, b: float, c: float) -> Floats:
    """Uniform draws in [0, 1) -> a uniform rotation (3, 3), by way of Shoemake's unit quaternion (1992)."""
    inner, outer = np.sqrt(1 - a), np.sqrt(a)
    x, y = inner * np.sin(2 * np.pi * b), inner * np.cos(2 * np.pi * b)
    z, w = outer * np.sin(2 * np.pi * c), outer * np.cos(2 * np.pi * c)
    return np.array([
        [1 - 2 * (y * y + z * z), 2 * (x * y - z * w), 2 * (x * z + y * w)],
        [2 * (x * y + z * w), 1 - 2 * (x * x + z * z), 2 * (y * z - x * w)],
        [2 * (x * z - y * w), 2 * (y * z + x * w), 1 - 2 * (x * x + y * y)],
    ])  # fmt: skip


def render(scene: Scene, label: int, world: World) -> tuple[NDArray[np.uint8], NDArray[np.float32]]:
    """RGBA (64, 64, 4) uint8 and depth (64, 64) float32 of the scene with a solid of class `label` in it."""
    solid = SOLIDS[CLASSES[label]]
    return photograph(scene, solid, world), scan(scene, solid, world)


def scan(scene: Scene, solid: Solid, world: World) -> NDArray[np.float32]:
    """Range along each LiDAR ray, (64, 64) float32, 50 where nothing came back."""
    rays, half = beams(world.sensor), world.object.edge / 2
    # Only rays inside the cone around the enclosing sphere can hit: about one in ten.
    edge = np.sqrt(scene.centre @ scene.centre - (solid.reach * half) ** 2)
    near = np.flatnonzero(scene.centre @ rays >= edge)
    reach, _ = solid.trace(rays[:, near], scene, half)
    depth = np.full(IMAGE_SIZE * IMAGE_SIZE, NO_RETURN, np.float32)
    depth[near] = np.minimum(np.rint(reach / world.sensor.grain) * world.sensor.grain, NO_RETURN)
    return depth.reshape(IMAGE_SIZE, IMAGE_SIZE)  # (azimuth, zenith)


def photograph(scene: Scene, solid: Solid, world: World) -> NDArray[np.uint8]:
    """The lit part of the object on exact black, RGBA (64, 64, 4) uint8, alpha 255."""
    half, count, focal = world.object.edge / 2, world.camera.samples, world.camera.focal
    columns, rows = window(scene.centre, solid.reach * half, focal)
    fine = (np.arange(count) + 0.5) / count - 0.5  # sample offsets within a pixel
    right = ((np.arange(*columns)[:, None] + fine).ravel() - (IMAGE_SIZE - 1) / 2) / focal  # x / y
    up = ((IMAGE_SIZE - 1) / 2 - (np.arange(*rows)[:, None] + fine).ravel()) / focal  # z / y
    rays = np.ones((3, len(up), len(right)))
    rays[0], rays[2] = right, up[:, None]
    reach, normals = solid.trace(rays.reshape(3, -1), scene, half)
    lamp = np.array(world.light.towards) / np.linalg.norm(world.light.towards)
    shade = np.where(np.isfinite(reach), np.maximum(lamp @ normals, 0), 0)
    shade = shade.reshape(len(up) // count, count, len(right) // count, count).mean((1, 3))  # (rows, columns)
    image = np.zeros((IMAGE_SIZE, IMAGE_SIZE, 4), np.uint8)
    image[..., 3] = 255
    image[slice(*rows), slice(*columns), :3] = develop(shade, scene.colour, world.light)
    return image


def develop(shade: Floats, colour: Floats, light: Light) -> NDArray[np.uint8]:
    """The tone curve: shade (H, W), cosine to the lamp averaged over a pixel, -> stored values (H, W, 3)."""
    fade = light.white * shade[..., None] ** light.white_power
    linear = light.gain * shade[..., None] * (colour + (1 - colour) * fade)
    return np.rint(255 * np.minimum(linear, 1) ** (1 / light.gamma)).astype(np.uint8)


def window(centre: Floats, radius: float, focal: float) -> tuple[tuple[int, int], tuple[int, int]]:
    """Pixel bounds (first, past last) of the columns and of the rows that hold the picture of a sphere."""
    x, y, z = centre
    bounds = []
    for offset in (x, -z):  # columns grow to the right, rows downwards
        middle, width = np.arctan2(offset, y), np.arcsin(radius / np.hypot(offset, y))
        low, high = (IMAGE_SIZE - 1) / 2 + focal * np.tan([middle - width, middle + width])
        first, last = np.clip([np.floor(low), np.ceil(high) + 1], 0, IMAGE_SIZE)
        bounds.append((int(first), int(last)))
    return bounds[0], bounds[1]


def angles(sensor: Sensor) -> NDArray[np.float32]:
    """The angles of the rows, and of the columns: (64,) float32 radians."""
    return np.deg2rad(sensor.step * (sensor.first + np.arange(IMAGE_SIZE))).astype(np.float32)


@lru_cache(maxsize=4)
def beams(sensor: Sensor) -> Floats:
    """Unit vectors of the LiDAR rays, (3, 64 * 64), from the float32 angles that readers will find."""
    turned = -angles(sensor).astype(np.float64)
    az, ze = np.meshgrid(turned, turned, indexing="ij")
    rays = np.stack([np.sin(az) * np.cos(ze), np.cos(az) * np.cos(ze), np.sin(ze)]).reshape(3, -1)
    rays.flags.writeable = False  # shared by all callers
    return rays


# --- solids: rays (3, N) from the origin, half an edge -> reach (N,) in ray lengths, inf on a miss, and unit
#     normals (3, N), which mean nothing on a miss


def trace_cube(rays: Floats, scene: Scene, half: float) -> tuple[Floats, Floats]:
    local, centre = scene.rotation.T @ rays, (scene.rotation.T @ scene.centre)[:, None]
    with np.errstate(divide="ignore"):  # a ray along a face never meets its planes: +-inf is the right answer
        low, high = (centre - half) / local, (centre + half) / local
    enter, leave = np.minimum(low, high), np.maximum(low, high)
    face = enter.argmax(0)  # the last plane passed on the way in
    reach = enter.max(0)
    facing = -np.sign(np.take_along_axis(local, face[None], 0))  # (1, N)
    return np.where(reach < leave.min(0), reach, np.inf), facing * scene.rotation[:, face]


def trace_sphere(rays: Floats, scene: Scene, half: float) -> tuple[Floats, Floats]:
    square = (rays * rays).sum(0)
    along = scene.centre @ rays
    room = along * along - square * (scene.centre @ scene.centre - half * half)
    reach = (along - np.sqrt(np.maximum(room, 0))) / square
    return np.where(room >= 0, reach, np.inf), (reach * rays - scene.centre[:, None]) / half


SOLIDS = {"cubes": Solid(trace_cube, 3**0.5), "spheres": Solid(trace_sphere, 1.0)}


# --- files


@contextmanager
def appearing(folder: Path) -> Iterator[Path]:
    """A hidden sibling to fill, renamed to `folder` at the end. Raises DataError when that name is taken."""
    require_absent(folder)
    with atomic_folder(folder) as partial:
        yield partial
        require_absent(folder)  # made meanwhile, it is not ours to replace


def write_pair(pair: Pair, rgb: NDArray[np.uint8], depth: NDArray[np.float32]) -> None:
    """Write RGBA (64, 64, 4) uint8 and depth (64, 64) float32 where the pair says; its folders must exist."""
    pair.rgb.write_bytes(encode_png(rgb))
    np.save(pair.lidar, depth, allow_pickle=False)


def write_angles(home: Path, azimuth: NDArray[np.float32], zenith: NDArray[np.float32]) -> None:
    """Write the (64,) float32 angle files of one class folder, in radians."""
    np.save(home / "azimuth.npy", azimuth, allow_pickle=False)
    np.save(home / "zenith.npy", zenith, allow_pickle=False)


def encode_png(rgb: NDArray[np.uint8]) -> bytes:
    """RGBA (H, W, 4) uint8 -> PNG with stored deflate blocks: the bytes depend on no compressor's version."""
    height, width, _ = rgb.shape
    lines = np.zeros((height, 1 + 4 * width), np.uint8)  # each line starts with its filter, 0: none
    lines[:, 1:] = rgb.reshape(height, -1)
    header = struct.pack(">IIBBBBB", width, height, 8, 6, 0, 0, 0)  # 8 bits, RGBA, not interlaced
    chunks = (b"IHDR", header), (b"IDAT", _stored(lines.tobytes())), (b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + b"".join(_chunk(kind, content) for kind, content in chunks)


def _chunk(kind: bytes, content: bytes) -> bytes:
    return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))


def _stored(content: bytes) -> bytes:
    """A zlib stream that compresses nothing (RFC 1951, 3.2.4)."""
    limit = 65535  # a stored block's length has 16 bits
    starts = range(0, len(content), limit)
    blocks = [content[start : start + limit] for start in starts]
    heads = [struct.pack("<BHH", block is blocks[-1], len(block), len(block) ^ 0xFFFF) for block in blocks]
    body = b"".join(head + block for head, block in zip(heads, blocks, strict=True))
    return b"\x78\x01" + body + struct.pack(">I", zlib.adler32(content))

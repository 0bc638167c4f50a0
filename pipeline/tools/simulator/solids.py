"""Ray tracing of the two solids. Rays start at the origin."""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
# rays (3, N), center (3,), rotation (3, 3), half an edge -> distances (N,) in lengths of a ray, inf for a miss, and
# unit normals (3, N) of the surface, arbitrary for a miss
Tracer = Callable[[Floats, Floats, Floats, float], tuple[Floats, Floats]]


class Solid(NamedTuple):
    """A solid: how rays hit it, and how far it reaches."""

    trace: Tracer
    radius: float  # of the enclosing sphere, in half edges


def trace_cube(rays: Floats, center: Floats, rotation: Floats, half: float) -> tuple[Floats, Floats]:
    """Intersect rays with a cube of edge 2 * `half`; the columns of `rotation` are its axes. See Tracer."""
    local, middle = rotation.T @ rays, (rotation.T @ center)[:, None]
    with np.errstate(divide="ignore"):  # a ray along a face never meets its planes: +-inf is the right answer
        low, high = (middle - half) / local, (middle + half) / local
    enter, leave = np.minimum(low, high), np.maximum(low, high)
    face = enter.argmax(0)  # the last plane passed on the way in
    distance = enter.max(0)
    facing = -np.sign(np.take_along_axis(local, face[None], 0))  # (1, N)
    return np.where(distance < leave.min(0), distance, np.inf), facing * rotation[:, face]


def trace_sphere(rays: Floats, center: Floats, rotation: Floats, half: float) -> tuple[Floats, Floats]:
    """Intersect rays with a sphere of radius `half`, which looks the same under any rotation. See Tracer."""
    square = (rays * rays).sum(0)
    along = center @ rays
    discriminant = along * along - square * (center @ center - half * half)
    distance = (along - np.sqrt(np.maximum(discriminant, 0))) / square
    return np.where(discriminant >= 0, distance, np.inf), (distance * rays - center[:, None]) / half


SOLIDS = {"cubes": Solid(trace_cube, 3**0.5), "spheres": Solid(trace_sphere, 1.0)}

"""Points in space from depth and angles. Pure tensor functions: no files, no parameters, no device choice."""

import torch
from torch import Tensor

from pipeline.core.sensors import NO_RETURN


def ray_directions(azimuth: Tensor, zenith: Tensor) -> Tensor:
    """Compute unit vectors along the rays: azimuth (H,) and zenith (W,) in radians -> (3, H, W).

    Axes are x right, y forward, z up. A row is one azimuth and a column one zenith, so that the depth image is turned
    against the RGB image: right in RGB is falling row, down in RGB is rising column. Raises ValueError for other
    shapes.
    """
    if azimuth.dim() != 1 or zenith.dim() != 1:
        raise ValueError(
            f"angles must be vectors, azimuth (H,) and zenith (W,); "
            f"got {tuple(azimuth.shape)} and {tuple(zenith.shape)}"
        )
    az, ze = torch.meshgrid(-azimuth, -zenith, indexing="ij")  # (H, W); the sensor counts against our axes
    return torch.stack([az.sin() * ze.cos(), az.cos() * ze.cos(), ze.sin()])  # (3, H, W)


def xyza(depth: Tensor, directions: Tensor) -> Tensor:
    """Compute points and a mask: depth (B, H, W) or (B, 1, H, W), directions (3, H, W) -> x, y, z, a (B, 4, H, W).

    Depth and x, y, z are in Omniverse units; a is 1 where the ray returned (depth < 50), else 0. A ray without return
    has its point at range 50, as in the sensor's own depth. Depth must be float32: in bfloat16 a far return rounds to
    50. Raises ValueError for shapes that do not fit.
    """
    frame = directions.shape[1:]
    if depth.dim() not in (3, 4) or depth.shape[-2:] != frame or (depth.dim() == 4 and depth.shape[1] != 1):
        raise ValueError(
            f"depth must be (B, {frame[0]}, {frame[1]}) or (B, 1, {frame[0]}, {frame[1]}) "
            f"to suit the directions; got {tuple(depth.shape)}"
        )
    depth = depth.reshape(-1, 1, *frame)  # (B, 1, H, W)
    returned = (depth < NO_RETURN).to(depth.dtype)
    return torch.cat([depth * directions, returned], dim=1)  # (B, 4, H, W)

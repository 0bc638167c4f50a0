"""TODO."""

import numpy as np

from pipeline.core.sensors import NO_RETURN


def to_camera_view(depth: np.ndarray) -> np.ndarray:
    """(azimuth, zenith) -> the array as the RGB lies: rows go down, columns to the right."""
    return depth[::-1].T


def from_camera_view(picture: np.ndarray) -> np.ndarray:
    """What `turned` turned."""
    return picture.T[::-1]


def colorize_depth(depth: np.ndarray) -> np.ndarray:
    """(H, W) float32 ranges -> (H, W, 3) uint8: the nearer the brighter, black where nothing came back."""
    from matplotlib import colormaps  # slow to import

    hit = depth < NO_RETURN
    near, far = (depth[hit].min(), depth[hit].max()) if hit.any() else (0, 1)
    bright = 1 - (depth - near) / max(far - near, 1e-6)  # 1 at the nearest
    return np.where(hit[..., None], 255 * colormaps["viridis"](bright.clip(0, 1))[..., :3], 0).astype(np.uint8)


def point_cloud(depth: np.ndarray, azimuth: np.ndarray, zenith: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Ranges (64, 64) and angles (64,) -> points (P, 3) in Omniverse units and their colours (P, 3) uint8."""
    import torch  # as above

    from pipeline.data.geometry import ray_directions, xyza

    rays = ray_directions(torch.tensor(azimuth), torch.tensor(zenith))
    points = xyza(torch.tensor(depth)[None], rays)[0, :3].numpy()  # (3, H, W)
    hit = depth < NO_RETURN
    return points[:, hit].T, colorize_depth(depth)[hit]

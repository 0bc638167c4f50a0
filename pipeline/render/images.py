"""One LiDAR frame as an image and as a point cloud: its orientation, its colours and its points.

No files. NumPy alone, so that a process that shows frames starts without torch or matplotlib.
"""

import base64

import numpy as np

from pipeline.core.sensors import NO_RETURN

# the 256 colours of viridis, from dark to bright: red, green and blue of each as bytes; tests compare matplotlib's
_VIRIDIS = (
    "RAFURAJVRANXRQVYRQZaRQhbRglcRgteRgxfRg5hRw9iRxFjRxJlRxRmRxVnRxZpRxhqSBlrSBpsSBxuSB1vSB5wSCBxSCFySCJzSCN0RyV1RyZ2"
    "Ryd3Ryh4Ryp5Ryt6Ryx7Ri18Ri98RjB9RjF+RTJ/RTR/RTWARTaBRDeBRDmCQzqDQzuDQzyEQj2EQj6FQkCFQUGGQUKGQEOHQESHP0WHP0eIPkiI"
    "PkmJPUqJPUuJPUyJPE2KPE6KO1CKO1GKOlKLOlOLOVSLOVWLOFaLOFeMN1iMN1mMNlqMNluMNVyMNV2MNF6NNF+NM2CNM2GNMmKNMmONMWSNMWWN"
    "MWaNMGeNMGiNL2mNL2qNLmuOLmyOLm2OLW6OLW+OLHCOLHGOLHKOK3OOK3SOKnWOKnaOKneOKXiOKXmOKHqOKHqOKHuOJ3yOJ32OJ36OJn+OJoCO"
    "JoGOJYKOJYONJISNJIWNJIaNI4eNI4iNI4mNIomNIoqNIouNIYyNIY2MIY6MII+MIJCMIJGMH5KMH5OLH5SLH5WLH5aLHpeKHpiKHpmKHpmKHpqJ"
    "HpuJHpyJHp2IHp6IHp+IHqCHH6GHH6KGH6OGIKSFIKWFIaaFIaeEIqeEI6iDI6mCJKqCJauBJqyBJ62AKK5/Ka9/KrB+K7F9LLF9LrJ8L7N7MLR6"
    "MrV6M7Z5Nbd4Nrh3OLl2Obl2O7p1Pbt0PrxzQL1yQr5xRL5wRb9vR8BuScFtS8JsTcJrT8NpUcRoU8VnVcZmV8ZlWcdkW8hiXslhYMlgYspfZMtd"
    "Z8xcacxba81Zbc5YcM5Wcs9VdNBUd9BSedFRfNJPftJOgdNMg9NLhtRJiNVHi9VGjdZEkNZDktdBldc/l9g+mtg8ndk6n9k4oto3pdo1p9szqtsy"
    "rdwwr9wust0std0rt90put4nvd4mv98kwt8ixd8hx+AfyuAezeAdz+Ec0uEb1OEa1+IZ2uIY3OIY3+MY4eMY5OMY5+QZ6eQZ7OQa7uUb8eUc8+Ue"
    "9uYf+OYh+uYi/eck"
)


def to_camera_view(frame: np.ndarray) -> np.ndarray:
    """Return a LiDAR frame (H, W, ...), azimuth by zenith, as the camera sees the scene: (W, H, ...).

    A row of the frame is a column of the image, counted from the right; a column of the frame is a row of the image.
    """
    return np.swapaxes(frame[::-1], 0, 1)


def from_camera_view(image: np.ndarray) -> np.ndarray:
    """Return an image (W, H, ...) in the camera's view as a LiDAR frame (H, W, ...): undo `to_camera_view`."""
    return np.swapaxes(image, 0, 1)[::-1]


def colorize_depth(depth: np.ndarray) -> np.ndarray:
    """Return ranges (H, W) as a viridis image (H, W, 3) uint8: near is bright, no return is black.

    The colours span the ranges of the frame, so that an object far away has as many of them as a near one.
    """
    colors = np.frombuffer(base64.b64decode(_VIRIDIS), np.uint8).reshape(-1, 3)  # (256, 3)
    hit = depth < NO_RETURN
    near, far = (depth[hit].min(), depth[hit].max()) if hit.any() else (0, 1)
    brightness = (1 - (depth - near) / max(far - near, 1e-6)).clip(0, 1)  # 1 at the nearest
    index = np.minimum(brightness * len(colors), len(colors) - 1).astype(int)
    return np.where(hit[..., None], colors[index], 0).astype(np.uint8)


def point_cloud(depth: np.ndarray, rays: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the returns of a frame as points (P, 3) and their colours (P, 3) uint8.

    `depth` holds ranges (H, W) and `rays` unit vectors (3, H, W); points have the unit of `depth`.
    """
    hit = depth < NO_RETURN
    return (depth * rays)[:, hit].T, colorize_depth(depth)[hit]

"""Statistics of single frames, for the data report, the split and the search for duplicates."""

import hashlib

import numpy as np

from pipeline.core.sensors import IMAGE_SIZE, NO_RETURN

PIXELS = IMAGE_SIZE**2
FRAME_STATS = np.dtype([
    ("valid", "?"),  # both frames exist and are whole
    ("returns", "<u2"),  # pixels with a LiDAR return
    ("range_sum", "<f8"),  # over the returns, Omniverse units
    ("range_sq_sum", "<f8"),  # sum of the squared ranges of the returns
    ("nearest", "<f4"),  # least and greatest range of a return, Omniverse units
    ("farthest", "<f4"),
    ("at_farthest", "<u2"),  # pixels at the greatest range, counted where every ray has a return; else 0
    ("box", "u1", 4),  # first and last row, first and last column of the returns
    ("lit", "<u2"),  # RGB pixels that are not black
    ("brightness", "<f4"),  # mean over the lit pixels of max(R, G, B), 0 .. 255
    ("brightest", "u1"),  # greatest max(R, G, B)
    ("saturated", "<u2"),  # pixels with max(R, G, B) = 255
    ("bright_place", "<f4", 2),  # mean row and column of the pixels brighter than half the brightest
    ("bright_spread", "<f4"),  # their standard deviation, the greater of rows' and columns', in pixels
    ("color_sum", "<u4", 3),  # over all pixels, of red, green and blue, 0 .. 255 each
    ("color_sq_sum", "<u4", 3),  # sum of their squares
    ("rgb_hash", "<u8", 2),  # 128 bits: frames that are equal have equal hashes
    ("lidar_hash", "<u8", 2),
    ("signature", "<f4", 7),  # differs by under 1 in each figure between frames that are nearly equal
])  # fmt: skip


def frame_stats(rgb: np.ndarray, depth: np.ndarray, valid: np.ndarray) -> np.ndarray:
    """Compute the statistics of pairs: rgb (n, H, W, 4) uint8, depth (n, H, W) float32, valid (n,) bool -> (n,)."""
    stats = np.zeros(len(valid), FRAME_STATS)
    stats["valid"] = valid
    stats["rgb_hash"], stats["lidar_hash"] = _hashes(rgb), _hashes(depth)
    _measure_rgb(rgb, stats)
    profiles = _measure_depth(depth, stats)
    stats["signature"] = _signatures(profiles, stats)
    return stats


def _measure_rgb(rgb: np.ndarray, stats: np.ndarray) -> None:
    """Fill in the statistics of pictures."""
    value = np.maximum(np.maximum(rgb[..., 0], rgb[..., 1]), rgb[..., 2])  # ten times as fast as a maximum by axis
    stats["lit"], stats["saturated"] = (value > 0).sum(axis=(1, 2)), (value == 255).sum(axis=(1, 2))
    stats["brightness"] = value.sum(axis=(1, 2)) / np.maximum(stats["lit"], 1)
    stats["brightest"] = value.max(axis=(1, 2))
    bright = value > stats["brightest"][:, None, None] // 2
    stats["bright_place"], stats["bright_spread"] = _place_and_spread(bright)
    for channel in range(3):
        color = rgb[..., channel].reshape(len(stats), -1).astype(np.uint32)
        stats["color_sum"][:, channel] = color.sum(axis=1, dtype=np.uint32)
        stats["color_sq_sum"][:, channel] = np.einsum("np,np->n", color, color)


def _measure_depth(depth: np.ndarray, stats: np.ndarray) -> list[np.ndarray]:
    """Fill in the statistics of LiDAR frames; return the number of returns in each row and column, see `_profiles`."""
    hit = depth < NO_RETURN  # (n, H, W)
    ranges = np.where(hit, depth, 0).astype(np.float64)
    stats["returns"] = hit.sum(axis=(1, 2))
    stats["range_sum"], stats["range_sq_sum"] = ranges.sum(axis=(1, 2)), (ranges**2).sum(axis=(1, 2))
    stats["nearest"], stats["farthest"] = depth.min(axis=(1, 2)), ranges.max(axis=(1, 2))
    full = stats["returns"] == PIXELS
    stats["at_farthest"][full] = (depth[full] == stats["farthest"][full, None, None]).sum(axis=(1, 2))
    profiles = _profiles(hit)
    stats["box"] = np.column_stack([end for profile in profiles for end in _ends(profile > 0)])
    return profiles


def _hashes(frames: np.ndarray) -> list[np.ndarray]:
    return [np.frombuffer(hashlib.blake2b(frame, digest_size=16).digest(), "<u8") for frame in frames]


def _profiles(mask: np.ndarray) -> list[np.ndarray]:
    """Count the set pixels of masks (n, H, W) in each row and in each column: [(n, H), (n, W)] int64."""
    # a row or column has 64 pixels at most, which fit a byte; adding bytes takes half the time of adding integers
    return [mask.view(np.uint8).sum(axis=axis, dtype=np.uint8).astype(np.int64) for axis in (2, 1)]


def _ends(occupied: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the first and the last set place of each line (n, 64): (n,) each, 0 and 63 for an empty line."""
    return occupied.argmax(axis=1), IMAGE_SIZE - 1 - occupied[:, ::-1].argmax(axis=1)


def _place_and_spread(mask: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Compute the mean row and column (n, 2) of the set pixels of masks, and the greater standard deviation (n,)."""
    positions, profiles = np.arange(IMAGE_SIZE), _profiles(mask)
    count = np.maximum(profiles[0].sum(axis=1), 1)
    mean = np.column_stack([profile @ positions / count for profile in profiles])
    square = np.column_stack([profile @ positions**2 / count for profile in profiles])
    return mean, np.sqrt(np.maximum(square - mean**2, 0)).max(axis=1)


def _signatures(profiles: list[np.ndarray], stats: np.ndarray) -> np.ndarray:
    """Compute (n, 7) figures, scaled so that frames that are nearly equal differ by under 1 in each.

    They are the mean row and column of the returns in half pixels, the square root of their number in halves, their
    mean range in Omniverse units, and the mean R, G and B of the lit pixels in tens of levels.
    """
    positions = np.arange(IMAGE_SIZE)
    returns, lit = np.maximum(stats["returns"], 1), np.maximum(stats["lit"], 1)
    row, column = (profile @ positions / returns for profile in profiles)
    color = stats["color_sum"] / lit[:, None]
    shape = [row / 0.5, column / 0.5, np.sqrt(stats["returns"]) / 0.5, stats["range_sum"] / returns]
    return np.column_stack([*shape, color / 10])

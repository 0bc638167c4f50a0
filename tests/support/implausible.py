"""Every kind of data that no such sensor writes, planted into a good raw folder of three scenes."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
from PIL import Image

from support.faults import ANGLES, Planted, both, encoded, every, moved, save


def edited(sensor: str, class_: str, edit: Callable[[np.ndarray], np.ndarray]) -> Callable[[Path], object]:
    """Replace every frame of a class and sensor by what `edit` makes of its array."""

    def plant(path: Path) -> None:
        if sensor == "lidar":
            np.save(path, edit(np.load(path)))
        else:
            path.write_bytes(encoded(edit(np.array(Image.open(path)))))

    return every(sensor, class_, plant)


def colors(edit: Callable[[np.ndarray], np.ndarray]) -> Callable[[np.ndarray], np.ndarray]:
    """Return an edit of (H, W, 4) that changes R, G and B, (H, W, 3) int, and leaves alpha alone."""
    return lambda rgb: np.dstack([np.clip(edit(rgb[..., :3].astype(int)), 0, 255), rgb[..., 3]]).astype(np.uint8)


def returns(edit: Callable[[np.ndarray], np.ndarray]) -> Callable[[np.ndarray], np.ndarray]:
    """Return an edit of (H, W) that changes the returns and leaves no return as it is."""
    return lambda depth: np.where(depth < 50, edit(depth), 50).astype(np.float32)


def swapped(folder: Path) -> None:
    """Give scenes 0 and 2 each other's LiDAR frames of spheres."""
    moves = ("0000", "x"), ("0002", "0000"), ("x", "0002")
    for source, target in moves:
        moved(f"spheres/lidar/{source}.npy", f"spheres/lidar/{target}.npy")(folder)


def in_both_classes(do: Callable[[str], Callable[[Path], object]]) -> Callable[[Path], None]:
    return both(do("cubes"), do("spheres"))


IMPLAUSIBLE: dict[str, Planted] = {
    # values that no such sensor writes
    "no returns written as 1": Planted(
        edited("lidar", "cubes", lambda depth: depth / 50), "background", "cubes/lidar/0000.npy", "1 at .* none"
    ),
    "ranges all one": Planted(
        edited("lidar", "cubes", lambda depth: 0 * depth + 25), "background", "cubes/lidar/0000.npy", "25 at 4,096 of"
    ),
    "ranges without background": Planted(
        edited("lidar", "cubes", lambda depth: depth - np.linspace(0.1, 0.9, 64, dtype=np.float32)),
        "no-background",
        "cubes/lidar/0000.npy",
        "a return at 4,096 of 4,096 rays.*in 3 of 3 frames: 0000 .. 0002",
    ),
    "ranges in feet": Planted(
        edited("lidar", "spheres", returns(lambda depth: depth * 0.3048)),
        "unusual-range",
        "spheres/lidar/0000.npy",
        r"returns at \d\.\d+ units .*15 to 35",
    ),
    "a mask in place of ranges": Planted(
        edited("lidar", "cubes", returns(lambda depth: 0 * depth + 1)), "flat", "cubes/lidar/0000.npy", "range 1 at"
    ),
    "picture all white": Planted(
        edited("rgb", "cubes", colors(lambda rgb: 0 * rgb + 255)), "constant", "cubes/rgb/0000.png", "R G B 255 255 255"
    ),
    "picture inverted": Planted(
        edited("rgb", "cubes", colors(lambda rgb: 255 - rgb)), "no-background", "cubes/rgb/0000.png", "not black"
    ),
    "picture saturated": Planted(
        edited("rgb", "cubes", colors(lambda rgb: 99 * rgb)), "saturated", "cubes/rgb/0000.png", "the value 255 in"
    ),
    "picture from 0 to 1": Planted(
        edited("rgb", "cubes", colors(lambda rgb: np.sign(rgb))), "dim", "cubes/rgb/0000.png", "no value over 1 of 255"
    ),
    "picture in grey as RGB": Planted(
        edited("rgb", "cubes", colors(lambda rgb: rgb[..., [1, 1, 1]])), "equal-channels", "cubes/rgb/0000.png", "two e"
    ),
    "picture without blue": Planted(
        edited("rgb", "cubes", colors(lambda rgb: rgb * [1, 1, 0])), "equal-channels", "cubes/rgb/0000.png", "an empty"
    ),
    "no light at all": Planted(
        edited("rgb", "cubes", colors(lambda rgb: 0 * rgb)), "no-light-at-all", "cubes/rgb", "black pictures alone"
    ),
    # sensors that disagree
    "files of two scenes": Planted(swapped, "mismatched", "spheres/lidar/0000.npy", r"the object \d+.\d degrees from"),
    "pictures mirrored": Planted(
        in_both_classes(lambda name: edited("rgb", name, lambda rgb: rgb[:, ::-1])), "other-view", "", "in . of 6 pairs"
    ),
    "angles near the course's": Planted(
        in_both_classes(lambda name: save(ANGLES, f"{name}/zenith.npy")),
        "other-angles",
        "cubes/zenith.npy",
        "angles -14.32 .. 14.32 degrees; expected -16 .. 15.5",
    ),
    "angles of a sensor that counts the other way": Planted(
        in_both_classes(lambda name: save(ANGLES[::-1], f"{name}/azimuth.npy")),
        "wrong-angles",
        "cubes/azimuth.npy",
        "by them the object elsewhere .* in . of 6 pairs",
    ),
}  # fmt: skip

from pathlib import Path

import numpy as np
import pytest
import torch

from pipeline.data.geometry import ray_directions
from pipeline.raw.format import DataError
from pipeline.render.images import point_cloud
from pipeline.tools.importers.formats.pointcloud import depth_from_points, read_pcd, write_pcd

GRID = np.deg2rad(0.5 * np.arange(-32, 32)).astype(np.float32)
HERE = Path("a.pcd")
ASCII = b"""# .PCD v0.7
VERSION 0.7
FIELDS intensity z y x
SIZE 4 4 4 4
TYPE F F F F
COUNT 1 1 1 1
WIDTH 2
HEIGHT 1
POINTS 2
DATA ascii
9 3 2 1
8 6 5 4
"""


def frame() -> np.ndarray:
    depth = np.full((64, 64), 50, np.float32)
    depth[10, 20], depth[11, 20], depth[63, 0] = 24, 25, 30
    return depth


def test_a_cloud_through_a_file_gives_back_its_frame(tmp_path: Path) -> None:
    points, colours = point_cloud(frame(), ray_directions(torch.tensor(GRID), torch.tensor(GRID)).numpy())
    assert points.shape == (3, 3) and colours.shape == (3, 3)
    assert np.linalg.norm(points, axis=1) == pytest.approx([24, 25, 30], abs=1e-5)
    # row 63 is the last azimuth: to the left of the sensor; column 0 the first zenith: above it
    assert points[2, 0] < 0 and points[2, 1] > 0 and points[2, 2] > 0
    write_pcd(tmp_path / "a.pcd", points, colours)
    back = read_pcd(tmp_path / "a.pcd", (tmp_path / "a.pcd").read_bytes())
    assert (back == points).all()
    assert np.abs(depth_from_points(HERE, back, GRID, GRID) - frame()).max() < 1e-5


def test_points_that_never_came_back_are_no_returns() -> None:
    points = np.array([[0, 50.0, 0], [np.nan] * 3, [0, 0, 0], [0, 20, 0]])
    depth = depth_from_points(HERE, points, GRID, GRID)
    assert (depth < 50).sum() == 1 and depth[32, 32] == 20


def test_points_between_the_rays_are_another_sensors() -> None:
    with pytest.raises(DataError, match="a.pcd: found points between the sensor's rays"):
        depth_from_points(HERE, np.array([[0.1, 20, 0.0]]), GRID, GRID)


def test_ascii_files_and_other_orders_of_fields_are_read() -> None:
    assert read_pcd(HERE, ASCII).tolist() == [[1, 2, 3], [4, 5, 6]]
    doubles = ASCII.replace(b"SIZE 4 4 4 4", b"SIZE 1 8 8 8").replace(b"TYPE F", b"TYPE U").split(b"DATA")[0]
    row = np.zeros(2, np.dtype([("i", "u1"), ("zyx", "<f8", 3)]))
    row["zyx"] = [[3, 2, 1], [6, 5, 4]]
    assert read_pcd(HERE, doubles + b"DATA binary\n" + row.tobytes()).tolist() == [[1, 2, 3], [4, 5, 6]]


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"no cloud",
        ASCII.replace(b"ascii", b"binary_compressed"),
        ASCII.replace(b"ascii", b"binary"),  # too few bytes
        ASCII.replace(b" x\n", b" u\n"),
        ASCII.replace(b"POINTS 2", b"POINTS 1000000000000").replace(b"ascii", b"binary"),
        ASCII.replace(b"TYPE F F", b"TYPE O F"),
        ASCII.replace(b"9 3 2 1", b"9 three 2 1"),
    ],
)
def test_what_is_no_cloud_is_refused_in_one_line(data: bytes) -> None:
    with pytest.raises(DataError, match="^a.pcd: found [^\n]+; expected a point cloud with x, y and z"):
        read_pcd(HERE, data)


def test_a_cloud_without_points_is_a_frame_without_returns() -> None:
    none = ASCII.replace(b"WIDTH 2", b"WIDTH 0").replace(b"POINTS 2", b"POINTS 0").partition(b"9 3 2 1")[0]
    assert (depth_from_points(HERE, read_pcd(HERE, none), GRID, GRID) == 50).all()

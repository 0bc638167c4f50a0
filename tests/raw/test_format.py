import pickle
import re
from pathlib import Path

import numpy as np
import pytest

from pipeline.core.errors import PipelineError
from pipeline.core.sensors import CLASSES, SENSORS
from pipeline.raw.format import WARNINGS, DataError, Issue, read_angle, read_angles, read_depth, read_rgb
from pipeline.raw.index import list_pairs
from support import faults

# --- pairs


def test_pairs_come_by_class_and_scene(good: Path) -> None:
    pairs = list_pairs(good)
    assert [(pair.label, pair.scene) for pair in pairs] == [(0, 0), (0, 1), (0, 2), (1, 0), (1, 1), (1, 2)]
    assert pairs[4] == (good / "spheres/rgb/0001.png", good / "spheres/lidar/0001.npy", 1, 1)


def test_pairs_are_sorted_by_number_not_by_name(tmp_path: Path) -> None:
    for name in CLASSES:
        for sensor, suffix in SENSORS.items():
            (tmp_path / name / sensor).mkdir(parents=True)
            for stem in ("10000", "9999", "0002"):
                (tmp_path / name / sensor / (stem + suffix)).touch()
    assert [pair.scene for pair in list_pairs(tmp_path)] == [2, 9999, 10000] * 2


def test_list_pairs_skips_the_unpaired(good: Path) -> None:
    (good / "cubes/rgb/0001.png").unlink()
    assert [(pair.label, pair.scene) for pair in list_pairs(good)][:3] == [(0, 0), (0, 2), (1, 0)]


def test_list_pairs_names_every_missing_folder(tmp_path: Path) -> None:
    for name in CLASSES:
        (tmp_path / name).mkdir()
    with pytest.raises(DataError) as caught:
        list_pairs(tmp_path)
    wanted = [tmp_path / name / sensor for name in CLASSES for sensor in SENSORS]
    assert [issue.path for issue in caught.value.args] == wanted


# --- readers


def test_readers_give_the_contracts_arrays(good: Path) -> None:
    image, depth = read_rgb(good / faults.RGB), read_depth(good / faults.DEPTH)
    azimuth, zenith = read_angles(good, "cubes")
    assert (image.shape, image.dtype) == ((64, 64, 4), np.uint8)
    assert (depth.shape, depth.dtype) == ((64, 64), np.float32)
    assert azimuth.shape == zenith.shape == (64,) and azimuth.dtype == zenith.dtype == np.float32
    image[0, 0] = depth[0, 0] = 1  # ours to write to


def test_azimuth_and_zenith_are_not_mixed_up(good: Path) -> None:
    np.save(good / "cubes/zenith.npy", faults.ANGLES)
    azimuth, zenith = read_angles(good, "cubes")
    assert zenith[0] == -0.25 and azimuth[0] != -0.25


def test_angles_may_fall(good: Path) -> None:
    np.save(good / "cubes/zenith.npy", faults.ANGLES[::-1])
    assert (read_angle(good / "cubes/zenith.npy") == faults.ANGLES[::-1]).all()


def test_an_array_of_the_second_npy_version_is_read(good: Path) -> None:
    with (good / faults.DEPTH).open("wb") as file:
        np.lib.format.write_array(file, faults.FLAT, version=(2, 0))
    assert (read_depth(good / faults.DEPTH) == faults.FLAT).all()


OF_ONE_FILE = [
    name
    for name, planted in faults.FAULTS.items()
    if planted.path in (faults.RGB, faults.DEPTH) and planted.code not in WARNINGS | {"leak", "link-outside"}
]


@pytest.mark.parametrize("name", OF_ONE_FILE)
def test_readers_refuse_with_one_line_that_names_the_file(good: Path, name: str) -> None:
    planted = faults.FAULTS[name]
    planted.plant(good)
    read = read_rgb if planted.path.endswith("png") else read_depth
    missing = planted.code in ("unpaired", "broken-link", "name")
    with pytest.raises(DataError, match="found nothing" if missing else planted.words) as caught:
        read(good / planted.path)
    assert caught.value.args[0].code == ("missing" if missing else planted.code)
    assert str(good / planted.path) in str(caught.value) and "\n" not in str(caught.value)


# --- messages


def test_an_issue_is_one_clear_line() -> None:
    issue = Issue("dtype", Path("a.npy"), "float64 (3,)", "float32 (64,)", "convert it")
    assert str(issue) == "a.npy: found float64 (3,); expected float32 (64,); convert it"
    assert (issue.severity, Issue("stray", Path("a"), "b", "c", "d").severity) == ("error", "warning")


@pytest.mark.parametrize(
    "count, lines, last",
    [(1, 1, "0:"), (20, 20, "19:"), (21, 21, "... and 1 more"), (1500, 21, "... and 1,480 more")],
)
def test_a_long_list_of_issues_is_cut_and_counted(count: int, lines: int, last: str) -> None:
    lines_ = str(DataError(*(Issue("dtype", Path(str(n)), "a", "b", "c") for n in range(count)))).splitlines()
    assert len(lines_) == lines and lines_[-1].startswith(last)


def test_the_error_keeps_its_issues_across_processes() -> None:
    error = DataError(Issue("dtype", Path("a"), "b", "c", "d", range(3)))
    assert pickle.loads(pickle.dumps(error)).args == error.args
    assert isinstance(error, ValueError) and isinstance(error, PipelineError)


def test_a_broken_picture_has_one_message_each_time(good: Path) -> None:
    faults.FAULTS["rgb damaged"].plant(good)
    with pytest.raises(DataError) as caught:
        read_rgb(good / faults.RGB)
    assert "a wrong checksum in its part IDAT" in str(caught.value) and not re.search(r" at 0x|<_io", str(caught.value))


def test_want_of_memory_is_no_fault_of_a_picture(good: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def take_memory(*_: object, **__: object) -> None:
        raise MemoryError

    monkeypatch.setattr("pipeline.raw.format.Image.open", take_memory)
    with pytest.raises(MemoryError):
        read_rgb(good / "cubes/rgb/0000.png")

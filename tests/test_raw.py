import io
import pickle
import re
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from pipeline.data import raw
from pipeline.data.raw import DataError, Fault
from pipeline.data.simulate import simulate
from pipeline.errors import PipelineError


@pytest.fixture(scope="module")
def pristine(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("raw") / "set"
    simulate(folder, scenes=3, seed=5)
    return folder


@pytest.fixture
def good(pristine: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(pristine, tmp_path / "set"))


def rgb(folder: Path) -> Path:
    return folder / "cubes/rgb/0001.png"


def lidar(folder: Path) -> Path:
    return folder / "spheres/lidar/0001.npy"


# --- a good folder


def test_a_good_folder_has_no_faults_and_all_its_pairs(good: Path) -> None:
    assert raw.faults(good) == []
    pairs = raw.check(good)
    assert [(pair.label, pair.scene) for pair in pairs] == [(0, 0), (0, 1), (0, 2), (1, 0), (1, 1), (1, 2)]
    assert pairs[4] == (good / "spheres/rgb/0001.png", good / "spheres/lidar/0001.npy", 1, 1)
    assert pairs == raw.list_pairs(good)


def test_pairs_are_sorted_by_number_not_by_name(tmp_path: Path) -> None:
    for name in raw.CLASSES:
        for sensor, suffix in raw.SENSORS.items():
            (tmp_path / name / sensor).mkdir(parents=True)
            for stem in ("10000", "9999", "0002"):
                (tmp_path / name / sensor / (stem + suffix)).touch()
    assert [pair.scene for pair in raw.list_pairs(tmp_path)] == [2, 9999, 10000] * 2


def test_list_pairs_skips_the_unpaired(good: Path) -> None:
    rgb(good).unlink()
    assert [(pair.label, pair.scene) for pair in raw.list_pairs(good)][:3] == [(0, 0), (0, 2), (1, 0)]


def test_readers_give_the_contracts_arrays(good: Path) -> None:
    image, depth = raw.read_rgb(rgb(good)), raw.read_depth(lidar(good))
    azimuth, zenith = raw.read_angles(good, "cubes")
    assert (image.shape, image.dtype) == ((64, 64, 4), np.uint8)
    assert (depth.shape, depth.dtype) == ((64, 64), np.float32)
    assert azimuth.shape == zenith.shape == (64,) and azimuth.dtype == zenith.dtype == np.float32
    image[0, 0] = depth[0, 0] = 1  # ours to write to


def test_angles_are_told_apart(good: Path) -> None:
    np.save(good / "cubes/zenith.npy", np.full(64, 0.25, np.float32))
    azimuth, zenith = raw.read_angles(good, "cubes")
    assert zenith[0] == 0.25 and azimuth[0] != 0.25


# --- planted faults: what to do to a good folder, and where and how it must be told


def save(array: np.ndarray, path: str) -> Callable[[Path], None]:
    return lambda folder: np.save(folder / path, array)


def picture(mode: str, size: tuple[int, int], form: str = "PNG") -> Callable[[Path], None]:
    def plant(folder: Path) -> None:
        content = io.BytesIO()
        Image.new(mode, size).save(content, form)
        rgb(folder).write_bytes(content.getvalue())

    return plant


def cut(path: Callable[[Path], Path], size: int) -> Callable[[Path], None]:
    return lambda folder: path(folder).write_bytes(path(folder).read_bytes()[:size])


def flip(position: int) -> Callable[[Path], None]:
    def plant(folder: Path) -> None:
        content = bytearray(rgb(folder).read_bytes())
        content[position] ^= 1
        rgb(folder).write_bytes(content)

    return plant


def moved(source: str, target: str) -> Callable[[Path], None]:
    return lambda folder: (folder / source).rename(folder / target)


def gone(*paths: str) -> Callable[[Path], None]:
    return lambda folder: [(folder / path).unlink() for path in paths]


def removed(path: str) -> Callable[[Path], None]:
    return lambda folder: shutil.rmtree(folder / path)


def touched(path: str) -> Callable[[Path], None]:
    return lambda folder: (folder / path).touch()


def third_scene_less(folder: Path) -> None:
    gone("spheres/rgb/0002.png", "spheres/lidar/0002.npy")(folder)


def middle_gone(folder: Path) -> None:
    gone("cubes/rgb/0001.png", "cubes/lidar/0001.npy")(folder)


def emptied(folder: Path) -> None:
    for path in (folder / "spheres").glob("*/*"):
        path.unlink()


FLAT = np.full((64, 64), 50, np.float32)
ANGLES = np.zeros(64, np.float32)
HOLED, ENDLESS, BELOW, BEYOND = (FLAT.copy() for _ in range(4))
HOLED[3, 4], ENDLESS[3, 4], BELOW[3, 4], BEYOND[3, 4] = np.nan, np.inf, -0.5, 50.5
DEPTH = "spheres/lidar/0001.npy"

FAULTS: dict[str, tuple[Callable[[Path], object], str, str]] = {
    "folder missing": (removed("."), "", "nothing; expected a folder"),
    "class missing": (removed("spheres"), "spheres", "nothing; expected a folder"),
    "class is a file": (lambda f: (removed("spheres")(f), touched("spheres")(f)), "spheres", "found a file"),
    "sensor missing": (removed("cubes/lidar"), "cubes/lidar", "nothing; expected a folder"),
    "no pairs": (emptied, "spheres", "no pairs"),
    "rgb missing": (gone("cubes/rgb/0001.png"), "cubes/rgb/0001.png", "partner of .*cubes/lidar/0001.npy"),
    "rgb missing at the end": (gone("cubes/rgb/0002.png"), "cubes/rgb/0002.png", "partner"),
    "lidar missing": (gone(DEPTH), DEPTH, "partner of .*spheres/rgb/0001.png"),
    "stray at the top": (touched("notes.txt"), "notes.txt", "stray"),
    "stray in a class": (touched("cubes/rgb.zip"), "cubes/rgb.zip", "stray"),
    "stray in a sensor": (touched("cubes/rgb/0001.jpg"), "cubes/rgb/0001.jpg", "stray"),
    "nested folder": (lambda f: (f / "cubes/lidar/lidar").mkdir(), "cubes/lidar/lidar", "stray"),
    "name no digits": (touched("cubes/rgb/cat.png"), "cubes/rgb/cat.png", "the name cat"),
    "name too short": (moved("cubes/rgb/0001.png", "cubes/rgb/1.png"), "cubes/rgb/1.png", "the name 1"),
    "name doubled": (touched("cubes/lidar/00001.npy"), "cubes/lidar/00001.npy", "the name 00001"),
    "name of other digits": (touched("cubes/rgb/०००१.png"), "cubes/rgb/०००१.png", "the name"),
    "gap": (middle_gone, "cubes", "a gap at 0001;"),
    "counts differ": (third_scene_less, "", "3 cubes, 2 spheres"),
    "angles missing": (gone("cubes/azimuth.npy"), "cubes/azimuth.npy", "nothing"),
    "angles too few": (save(ANGLES[1:], "cubes/zenith.npy"), "cubes/zenith.npy", r"float32 \(63,\)"),
    "angles not finite": (save(ANGLES * np.nan, "spheres/zenith.npy"), "spheres/zenith.npy", "NaN"),
    "angles in degrees": (save(ANGLES - 16, "spheres/zenith.npy"), "spheres/zenith.npy", "radians"),
    "angles of another sensor": (save(ANGLES, "spheres/azimuth.npy"), "spheres/azimuth.npy", "other angles"),
    "rgb cut in half": (cut(rgb, 8000), "cubes/rgb/0001.png", "readable"),
    "rgb without its end": (cut(rgb, -12), "cubes/rgb/0001.png", "readable"),
    "rgb empty": (cut(rgb, 0), "cubes/rgb/0001.png", "readable"),
    "rgb damaged": (flip(9000), "cubes/rgb/0001.png", "readable"),
    "rgb is a folder": (lambda f: (rgb(f).unlink(), rgb(f).mkdir()), "cubes/rgb/0001.png", "readable"),
    "rgb without alpha": (picture("RGB", (64, 64)), "cubes/rgb/0001.png", "PNG RGB 64x64"),
    "rgb larger": (picture("RGBA", (64, 65)), "cubes/rgb/0001.png", "PNG RGBA 64x65"),
    "rgb of another format": (picture("RGBA", (64, 64), "TIFF"), "cubes/rgb/0001.png", "TIFF RGBA 64x64"),
    "depth cut in half": (cut(lidar, 8000), DEPTH, "readable"),
    "depth cut in its header": (cut(lidar, 60), DEPTH, "readable"),
    "depth empty": (cut(lidar, 0), DEPTH, "readable"),
    "depth turned": (save(FLAT[:, :63], DEPTH), DEPTH, r"float32 \(64, 63\)"),
    "depth in float64": (save(FLAT.astype(np.float64), DEPTH), DEPTH, "float64"),
    "depth in the other byte order": (save(FLAT.astype(">f4"), DEPTH), DEPTH, ">f4"),
    "depth of objects": (save(np.array([{}]), DEPTH), DEPTH, "readable"),
    "depth archived": (lambda f: np.savez(lidar(f).open("wb"), FLAT), DEPTH, "archive"),
    "depth not a number": (save(HOLED, DEPTH), DEPTH, "NaN"),
    "depth infinite": (save(ENDLESS, DEPTH), DEPTH, "infinite"),
    "depth negative": (save(BELOW, DEPTH), DEPTH, "ranges -0.5 .. 50"),
    "depth too far": (save(BEYOND, DEPTH), DEPTH, "ranges 50 .. 50.5"),
}


@pytest.mark.parametrize("plant, path, words", FAULTS.values(), ids=FAULTS)
def test_a_planted_fault_is_told_by_name(good: Path, plant: Callable, path: str, words: str) -> None:
    plant(good)
    told = [str(fault) for fault in raw.faults(good) if fault.path == good / path]
    assert any(re.search(words, line) for line in told), told
    with pytest.raises(DataError, match=words):
        raw.check(good)


def test_all_faults_are_told_not_the_first(good: Path) -> None:
    names = "stray at the top", "lidar missing", "rgb cut in half", "angles too few"
    planted = [FAULTS[name] for name in names]
    for plant, _, _ in planted:
        plant(good)
    assert {fault.path for fault in raw.faults(good)} == {good / path for _, path, _ in planted}


def test_a_long_gap_is_one_fault(good: Path) -> None:
    for sensor, suffix in raw.SENSORS.items():
        home = good / "cubes" / sensor
        (home / f"0002{suffix}").rename(home / f"123456{suffix}")
    assert [fault.found for fault in raw.faults(good)] == ["a gap at 0002 .. 123455"]


# --- readers on their own


@pytest.mark.parametrize("name", [name for name in FAULTS if name.startswith(("rgb", "depth"))])
def test_readers_refuse_with_one_line_that_names_the_file(good: Path, name: str) -> None:
    plant, path, words = FAULTS[name]
    plant(good)
    read = raw.read_rgb if path.endswith("png") else raw.read_depth
    with pytest.raises(DataError, match="found nothing" if "missing" in name else words) as caught:
        read(good / path)
    assert str(good / path) in str(caught.value) and "\n" not in str(caught.value)


def test_list_pairs_names_every_missing_folder(tmp_path: Path) -> None:
    with pytest.raises(DataError) as caught:
        raw.list_pairs(tmp_path)
    wanted = [tmp_path / name / sensor for name in raw.CLASSES for sensor in raw.SENSORS]
    assert [fault.path for fault in caught.value.args] == wanted


# --- the words


def test_a_fault_is_one_clear_line() -> None:
    fault = Fault(Path("a.npy"), "float64 (3,)", "float32 (64,)", "convert it")
    assert str(fault) == "a.npy: found float64 (3,); expected float32 (64,); convert it"


@pytest.mark.parametrize(
    "count, lines, last",
    [(1, 1, "0:"), (20, 20, "19:"), (21, 21, "... and 1 more"), (1500, 21, "... and 1,480 more")],
)
def test_a_long_list_of_faults_is_cut_and_counted(count: int, lines: int, last: str) -> None:
    told = str(DataError(*(Fault(Path(str(n)), "a", "b", "c") for n in range(count)))).splitlines()
    assert len(told) == lines and told[-1].startswith(last)


def test_the_error_keeps_its_faults_across_processes() -> None:
    error = DataError(Fault(Path("a"), "b", "c", "d"))
    assert pickle.loads(pickle.dumps(error)).args == error.args
    assert isinstance(error, ValueError) and isinstance(error, PipelineError)


def test_a_broken_picture_is_told_in_the_same_words_each_time(tmp_path):
    (tmp_path / "0000.png").write_bytes(b"no picture")
    with pytest.raises(raw.DataError) as caught:
        raw.read_rgb(tmp_path / "0000.png")
    assert "cannot identify image file" in str(caught.value.args[0]) and " at 0x" not in str(caught.value.args[0])

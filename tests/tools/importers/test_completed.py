"""What an import completes: the angles of the known sensor, an opaque alpha channel; and a mount without modes."""

import re
import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from pipeline.raw.format import DataError, read_rgb
from pipeline.raw.index import list_pairs
from pipeline.tools.importers.import_dataset import import_dataset
from support.sets import gone, import_set, refused, same


@pytest.fixture
def good(pristine: Path, tmp_path: Path) -> Path:
    """Three scenes in a folder of their own, to be spoilt."""
    return Path(shutil.copytree(pristine, tmp_path / "in/set"))


def test_a_set_without_angles_comes_in_with_those_of_the_known_sensor(
    good: Path, tmp_path: Path, pristine: Path
) -> None:
    gone(good, *(f"{name}/{angle}.npy" for name in ("cubes", "spheres") for angle in ("azimuth", "zenith")))
    assert refused(good).count("or add --known-angles if the course's LiDAR recorded the set") == 4
    result = import_dataset(str(good), tmp_path / "data", known_angles=True)
    assert result.notes == [
        "absent from the source, and assumed as those of the course's LiDAR: "
        "cubes/azimuth.npy, cubes/zenith.npy, spheres/azimuth.npy, spheres/zenith.npy"
    ]
    assert same(tmp_path / "data", pristine)


def test_known_angles_do_not_replace_those_of_the_set(good: Path, tmp_path: Path) -> None:
    other = np.linspace(-0.2, 0.2, 64, dtype=np.float32)
    for name in ("cubes", "spheres"):
        np.save(good / name / "azimuth.npy", other)
    assert import_dataset(str(good), tmp_path / "data", known_angles=True).notes == []
    assert (np.load(tmp_path / "data/cubes/azimuth.npy") == other).all()
    gone(good, "spheres/azimuth.npy")  # the cubes' sensor is another than the known one
    with pytest.raises(DataError, match="the course's LiDAR: found other angles; expected those of .*cubes/azimuth"):
        import_dataset(str(good), tmp_path / "again", known_angles=True)


def drop_alpha(folder: Path) -> None:
    for path in folder.glob("*/rgb/*.png"):
        Image.open(path).convert("RGB").save(path)


def test_pictures_without_alpha_get_an_opaque_one_and_it_is_noted(good: Path, tmp_path: Path, pristine: Path) -> None:
    drop_alpha(good)
    assert import_set(good).notes == ["pictures without an alpha channel got an opaque one; their colors are unchanged"]
    for pair in list_pairs(tmp_path / "data"):
        rgb, original = read_rgb(pair.rgb), read_rgb(pristine / pair.rgb.relative_to(tmp_path / "data"))
        assert (rgb[..., :3] == original[..., :3]).all() and (rgb[..., 3] == 255).all()
        assert pair.lidar.read_bytes() == (pristine / pair.lidar.relative_to(tmp_path / "data")).read_bytes()


def test_alpha_that_an_interrupted_import_added_is_noted_too(good: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupt(*args: object) -> None:
        raise KeyboardInterrupt

    drop_alpha(good)
    with monkeypatch.context() as patched, pytest.raises(KeyboardInterrupt):
        patched.setattr("pipeline.tools.importers.select_scenes.validate_folder", interrupt)
        import_set(good)
    assert "pictures without an alpha channel got an opaque one; their colors are unchanged" in import_set(good).notes


def test_a_damaged_picture_without_alpha_is_reported(good: Path) -> None:
    drop_alpha(good)
    path = good / "cubes/rgb/0001.png"
    content = bytearray(path.read_bytes())
    content[60] ^= 1  # in the packed pixels: the checksum no longer fits
    path.write_bytes(content)
    (good / "cubes/rgb/0002.png").write_bytes((good / "cubes/rgb/0002.png").read_bytes()[:-20])
    message = refused(good)
    for scene in ("0001", "0002"):
        assert re.search(rf"cubes/rgb/{scene}.png: found .*; expected a readable PNG file", message)
    assert message.count("\n") == 1


def test_a_mount_without_modes_and_locks_is_written_to(
    good: Path, tmp_path: Path, pristine: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*args: object) -> None:
        raise PermissionError(1, "Operation not permitted")

    monkeypatch.setattr("os.chmod", refuse)
    monkeypatch.setattr("fcntl.flock", refuse)
    import_set(good)
    assert same(tmp_path / "data", pristine)

"""Folders as people have them: the set found at any depth, deviations are noted, what is ambiguous is refused."""

import os
import shutil
import zipfile
from pathlib import Path

import pytest

from pipeline.raw.format import DataError
from pipeline.tools.importers.open_source import open_source
from pipeline.tools.importers.source import Source, compute_fingerprint


@pytest.fixture
def good(raw_folder: Path, tmp_path: Path) -> Path:
    """Six scenes, at a place with no word of the contract in its path."""
    return Path(shutil.copytree(raw_folder, tmp_path / "set"))


def contract(folder: Path) -> set[str]:
    return {path.relative_to(folder).as_posix() for path in folder.rglob("*.*")}


def refused(where: Path) -> str:
    with pytest.raises(DataError) as caught:
        open_source(str(where))
    return str(caught.value)


def into(folder: Path, *parts: str) -> None:
    """`cubes/lidar` -> its files in `cubes/lidar/lidar`."""
    target = folder.joinpath(*parts)
    target.mkdir(parents=True)
    for path in [path for path in folder.iterdir() if path.name not in parts]:
        path.rename(target / path.name)


# --- found and noted


def test_a_good_folder_is_its_files_and_nothing_is_noted(good: Path) -> None:
    source = open_source(str(good))
    assert set(source.files) == contract(good) and source.notes == ()
    name = source.files["cubes/rgb/0003.png"]
    assert source.read(name) == (good / "cubes/rgb/0003.png").read_bytes()
    assert source.display_path("cubes/rgb/0003.png") == good / "cubes/rgb/0003.png"


@pytest.mark.parametrize("depth", ["assessment", "assessment/assessment", "a/b/c/data/assessment"])
def test_the_set_is_found_at_any_depth_and_the_place_is_noted(good: Path, tmp_path: Path, depth: str) -> None:
    outer = tmp_path / "outer"
    (outer / depth).parent.mkdir(parents=True)
    good.rename(outer / depth)
    source = open_source(str(outer))
    assert set(source.files) == contract(outer / depth)
    assert source.notes == (f"the set lies in {depth}/",)
    assert source.display_path("spheres/lidar/0000.npy") == outer / depth / "spheres/lidar/0000.npy"


def test_a_sensor_folder_in_a_sensor_folder_is_understood_and_noted(good: Path) -> None:
    before = contract(good)
    into(good / "cubes/lidar", "lidar")
    source = open_source(str(good))
    assert set(source.files) == before
    assert source.files["cubes/lidar/0002.npy"] == "cubes/lidar/lidar/0002.npy"
    assert source.notes == ("6 files lie a folder deeper than they should, such as cubes/lidar/lidar/0000.npy",)


def test_a_class_in_its_own_folder_is_understood_and_noted(good: Path) -> None:
    before = contract(good)
    for name in ("cubes", "spheres"):
        into(good / name, name)
    source = open_source(str(good))
    assert set(source.files) == before
    assert source.notes == ("28 files lie a folder deeper than they should, such as cubes/cubes/azimuth.npy",)


def test_a_set_in_a_folder_called_cubes_is_not_nested(good: Path, tmp_path: Path) -> None:
    (tmp_path / "outer").mkdir()
    good.rename(tmp_path / "outer/cubes")
    source = open_source(str(tmp_path / "outer"))
    assert len(source.files) == 28 and source.notes == ("the set lies in cubes/",)


def test_two_levels_too_many_are_not_understood(good: Path) -> None:
    into(good / "cubes/lidar", "lidar", "lidar")
    source = open_source(str(good))
    assert not any(name.startswith("cubes/lidar") for name in source.files)
    assert source.notes == ("6 other files were ignored, such as cubes/lidar/lidar/lidar/0000.npy",)


def test_classes_that_were_unpacked_apart_are_one_set(good: Path) -> None:
    before = contract(good)
    into(good / "cubes", "cubes")
    (good / "cubes").rename(good / "cubes-1")
    (good / "more").mkdir()
    (good / "spheres").rename(good / "more/spheres")
    source = open_source(str(good))
    assert set(source.files) == before
    assert source.notes == ("its classes lie apart, in cubes-1/cubes/ and more/spheres/",)


def test_other_letters_and_other_numbers_of_digits_are_understood_and_noted(good: Path) -> None:
    before = contract(good)
    (good / "cubes/rgb").rename(good / "cubes/RGB")
    (good / "cubes").rename(good / "Cubes")
    (good / "spheres/rgb/0001.png").rename(good / "spheres/rgb/1.png")
    (good / "spheres/lidar/0001.npy").rename(good / "spheres/lidar/00001.npy")
    source = open_source(str(good))
    assert set(source.files) == before
    assert source.files["spheres/rgb/0001.png"] == "spheres/rgb/1.png"
    assert source.notes == (
        "14 files are named with capital letters, such as Cubes/azimuth.npy",
        "2 files are named with other digits, such as spheres/lidar/00001.npy",
    )


def test_names_that_hold_folders_are_understood_and_noted(good: Path, tmp_path: Path) -> None:
    """As some tools unpack a zip archive of Windows: into one folder of files such as `cubes\\rgb\\0000.png`."""
    flat = tmp_path / "flat"
    flat.mkdir()
    for name in contract(good):
        shutil.copy(good / name, flat / ("set/" + name).replace("/", "\\"))
    source = open_source(str(flat))
    assert set(source.files) == contract(good)
    assert source.notes == (
        "the set lies in set/",
        "28 names have \\ between folders, such as set\\cubes\\azimuth.npy",
    )
    assert source.read(source.files["cubes/rgb/0003.png"]) == (good / "cubes/rgb/0003.png").read_bytes()
    good.rename(flat / "set")  # unpacked again, by a tool that makes folders
    source = open_source(str(flat))
    assert len(source.files) == 28 and "found twice with equal bytes and read once: 28" in source.notes
    (flat / "set\\cubes\\rgb\\0003.png").write_bytes(b"other")
    assert "0003.png: found other bytes than" in refused(flat)


def test_litter_is_ignored_and_counted(good: Path) -> None:
    before = contract(good)
    for litter in ("__MACOSX/cubes/rgb/._0000.png", ".DS_Store", "cubes/rgb/._0001.png", "cubes/Thumbs.db"):
        (good / litter).parent.mkdir(parents=True, exist_ok=True)
        (good / litter).write_bytes(b"litter")
    (good / "lidar_cnn.pt").write_bytes(b"weights")
    source = open_source(str(good))
    assert set(source.files) == before
    assert source.notes == (
        "1 other file was ignored: lidar_cnn.pt",
        "4 hidden files (.DS_Store, __MACOSX and the like) were ignored",
    )


def test_files_behind_links_are_read(good: Path, tmp_path: Path) -> None:
    (good / "cubes/rgb/0000.png").rename(tmp_path / "blob")
    (good / "cubes/rgb/0000.png").symlink_to(tmp_path / "blob")
    source = open_source(str(good))
    assert source.read(source.files["cubes/rgb/0000.png"]) == (tmp_path / "blob").read_bytes()


# --- refused


def test_two_sets_are_refused_and_both_are_named(good: Path) -> None:
    shutil.copytree(good, good / "assessment")
    message = refused(good)
    assert (
        message.startswith(f"{good}: found 2 sets: in ./, assessment/; expected one;") and "name the folder" in message
    )


def test_a_second_class_elsewhere_is_ignored_and_noted(good: Path) -> None:
    shutil.copytree(good / "cubes", good / "old/cubes")
    source = open_source(str(good))
    assert source.files["cubes/rgb/0000.png"] == "cubes/rgb/0000.png" and len(source.files) == 28
    assert source.notes == ("14 other files were ignored, such as old/cubes/azimuth.npy",)


def test_one_class_twice_and_the_other_never_is_refused(good: Path) -> None:
    shutil.copytree(good / "cubes", good / "old/cubes")
    shutil.rmtree(good / "spheres")
    assert "found 2 sets: in cubes/, old/cubes/" in refused(good)


def test_the_same_frame_twice_is_read_once(good: Path) -> None:
    (good / "cubes/lidar/lidar").mkdir()
    shutil.copy(good / "cubes/lidar/0001.npy", good / "cubes/lidar/lidar/0001.npy")
    source = open_source(str(good))
    assert source.files["cubes/lidar/0001.npy"] == "cubes/lidar/0001.npy"
    assert "found twice with equal bytes and read once: 1" in source.notes


def test_a_frame_there_twice_that_differs_is_refused(good: Path) -> None:
    (good / "cubes/lidar/lidar").mkdir()
    shutil.copy(good / "cubes/lidar/0002.npy", good / "cubes/lidar/lidar/0001.npy")
    message = refused(good)
    assert message.startswith(f"{good}/cubes/lidar/lidar/0001.npy: found other bytes than cubes/lidar/0001.npy;")


def test_two_names_of_one_number_are_refused(good: Path) -> None:
    shutil.copy(good / "cubes/rgb/0001.png", good / "cubes/rgb/1.png")
    assert "cubes/rgb/0001.png: found cubes/rgb/0001.png as in cubes/rgb/1.png; expected one name" in refused(good)


def test_a_class_that_is_a_link_to_a_folder_is_refused(good: Path, tmp_path: Path) -> None:
    (good / "cubes").rename(tmp_path / "elsewhere")
    (good / "cubes").symlink_to(tmp_path / "elsewhere")
    assert f"{good}/cubes: found a link to a folder" in refused(good)


def test_a_circle_of_links_ends(good: Path) -> None:
    (good / "again").symlink_to(good)
    assert len(open_source(str(good)).files) == 28


def test_what_holds_no_set_is_refused_in_one_line(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("nothing here")
    assert "found no frames; expected cubes/rgb/0000.png" in refused(tmp_path)
    assert "found nothing; expected a folder, a .zip or .tar.gz, .parquet files, hf:" in refused(tmp_path / "no")
    assert "notes.txt: found b'nothing '; expected a zip or tar archive" in refused(tmp_path / "notes.txt")
    (tmp_path / "tiny.tar.gz").write_bytes(b"\x1f\x8b")
    assert "expected a whole tar archive" in refused(tmp_path / "tiny.tar.gz")
    with zipfile.ZipFile(tmp_path / "fiftyone.zip", "w") as file:
        file.writestr("samples.json", "{}")
    assert "unpack an archive of a FiftyOne data set" in refused(tmp_path / "fiftyone.zip")
    os.mkfifo(tmp_path / "pipe")
    assert "found a pipe" in refused(tmp_path / "pipe")


def test_a_disk_is_not_searched_without_end(good: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pipeline.tools.importers.formats.folder.MAX_FILES", 20)
    assert "over 20 files" in refused(good)


# --- a source


def test_the_fingerprint_changes_with_a_file_and_not_without(good: Path, tmp_path: Path) -> None:
    first = open_source(str(good)).fingerprint
    assert open_source(f"{good}/../{good.name}").fingerprint == first
    (good / "README").write_text("of no importance")
    assert open_source(str(good)).fingerprint == first
    os.utime(good / "cubes/rgb/0000.png", (1, 1))
    second = open_source(str(good)).fingerprint
    (good / "cubes/rgb/0000.png").rename(good / "cubes/rgb/0009.png")
    assert len({first, second, open_source(str(good)).fingerprint}) == 3


def test_an_absent_file_is_named_beside_its_likes() -> None:
    source = Source("a.zip", {"cubes/rgb/0000.png": "a.zip:x/cubes/rgb/0.png"}, bytes, "", prefix="dir/")
    assert source.display_path("cubes/rgb/0007.png") == Path("dir/a.zip:x/cubes/rgb/0007.png")
    assert source.display_path("spheres/zenith.npy") == Path("dir/spheres/zenith.npy")


def test_foreign_names_cannot_talk_to_the_terminal(good: Path) -> None:
    os.rename(good / "cubes/rgb/0000.png", os.fsencode(good) + b"/cubes/rgb/\x1b[2J\xff.png")
    (good / "\x1b[2J").mkdir()
    for name in ("cubes", "spheres"):
        (good / name).rename(good / "\x1b[2J" / name)
    source = open_source(str(good))
    assert source.notes == (
        r"the set lies in \x1b[2J/",
        r"1 other file was ignored: \x1b[2J/cubes/rgb/\x1b[2J\udcff.png",
    )
    shutil.copy(good / "\x1b[2J/cubes/rgb/0001.png", good / "\x1b[2J/cubes/rgb/1.png")
    assert "\x1b" not in refused(good)
    assert compute_fingerprint(["\udcff"]) != compute_fingerprint(["\udcfe"])


def test_a_fiftyone_data_set_is_opened_as_such(good: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    theirs = Source("theirs", {}, bytes, "")
    monkeypatch.setattr("pipeline.tools.importers.open_source.open_fiftyone", {good: theirs}.get)
    assert open_source(str(good)) is theirs

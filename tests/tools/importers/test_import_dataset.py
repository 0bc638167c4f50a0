"""An import writes equal bytes or reports every issue, and nothing half; subsets hold whole scenes."""

import os
import re
import shutil
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest

from pipeline.raw.format import WARNINGS, DataError
from pipeline.raw.index import index_folder, list_pairs
from pipeline.tools.importers.import_dataset import ImportResult, import_dataset
from support import faults
from support.commands import ROOT
from support.sets import gone, import_set, pack, refused, same

BROKEN = {  # a picture without alpha is no fault here: it gets an opaque one
    name: planted
    for name, planted in faults.FAULTS.items()
    if name.startswith(("rgb", "depth", "angles"))
    and planted.code not in WARNINGS | {"unpaired"}
    and name != "rgb without alpha"
}


@pytest.fixture
def good(pristine: Path, tmp_path: Path) -> Path:
    """Three scenes in a folder of their own, to be spoilt."""
    return Path(shutil.copytree(pristine, tmp_path / "in/set"))


# --- result


def test_a_good_set_comes_in_byte_for_byte_and_names_the_next_step(good: Path, tmp_path: Path, reads: Counter) -> None:
    result = import_set(good)
    assert same(tmp_path / "data", good) and sorted(each.name for each in tmp_path.iterdir()) == ["data", "in"]
    assert set(reads.values()) == {1} and len(reads) == 16
    after = "to train on it move it to data, then: dvc add data"
    assert str(result) == f"{good}: 3 cubes, 3 spheres\n{tmp_path}/data: 3 scenes, 6 pairs\n{after}"
    assert str(ImportResult(Path("data"), "x", 1, ["y"])) == "x\n- y\ndata: 1 scenes, 2 pairs\nnext: dvc add data"


def test_a_deviation_is_noted(good: Path, tmp_path: Path, pristine: Path) -> None:
    nested = good / "cubes/lidar/lidar"
    nested.mkdir()
    for path in (good / "cubes/lidar").glob("*.npy"):
        path.rename(nested / path.name)
    assert import_set(good).notes == [
        "3 files lie a folder deeper than they should, such as cubes/lidar/lidar/0000.npy",
    ]
    assert same(tmp_path / "data", pristine)


def test_gaps_are_closed_and_noted(good: Path, tmp_path: Path, pristine: Path) -> None:
    for path in sorted(good.glob("*/*/*")):
        path.rename(path.with_name(f"{10 * int(path.stem) + 7:05d}{path.suffix}"))
    assert import_set(good).notes[-1] == "scenes were renumbered from 0000, in the order of 0007, 0017, 0027"
    assert same(tmp_path / "data", pristine)


def test_ten_thousand_and_on_are_later_than_four_digits(good: Path, tmp_path: Path, pristine: Path) -> None:
    for path in good.glob("*/*/0002.*"):
        path.rename(path.with_stem("10000"))
    import_set(good)
    assert same(tmp_path / "data", pristine)


# --- refused


def test_an_existing_folder_is_refused_before_anything_is_read(good: Path, tmp_path: Path, reads: Counter) -> None:
    (tmp_path / "data").symlink_to("nowhere")
    with pytest.raises(DataError, match="data: found something there already; expected a new name"):
        import_set(good)
    assert not reads and os.readlink(tmp_path / "data") == "nowhere"


@pytest.mark.parametrize("scenes, seed", [(0, 0), (2, -1)])
def test_a_senseless_request_is_refused(good: Path, scenes: int, seed: int) -> None:
    assert "expected at least 1 scene and a seed from 0 up" in refused(good, scenes=scenes, seed=seed)


@pytest.mark.parametrize("name", BROKEN)
def test_a_broken_file_is_named_by_its_place_in_the_source(good: Path, name: str) -> None:
    planted = BROKEN[name]
    planted.plant(good)
    message = refused(good)
    if name == "rgb is a folder":  # no file at all
        assert f"{good}/cubes/rgb: found 2 files, and none for 1 scenes: 0001;" in message
    else:
        line = next(line for line in message.splitlines() if line.startswith(f"{good}/{planted.path}: found"))
        assert re.search(planted.words, line)


def test_a_frame_in_both_classes_is_named_by_its_place_in_the_source(good: Path) -> None:
    faults.FAULTS["frame in both classes"].plant(good)
    message = refused(good)
    assert message.startswith(f"{good}/spheres/rgb/0001.png: found the same frame as {good}/cubes/rgb/0001.png;")


def test_a_fault_of_a_whole_folder_is_named_by_its_place_in_the_source(good: Path) -> None:
    faults.FAULTS["no returns at all"].plant(good)
    assert refused(good).startswith(f"{good}/spheres/lidar: found no frame")


def test_all_issues_are_reported_at_once_in_an_archive_too(good: Path) -> None:
    gone(good, "spheres/azimuth.npy", "cubes/rgb/0002.png")
    (good / "cubes/rgb/0000.png").write_bytes(b"<html>quota exceeded</html>")
    (good / "spheres/lidar/0002.npy").write_bytes(b"version https://git-lfs.github.com/spec/v1\n")
    packed = pack(good.parent / "set.zip", good, "assessment/")
    message = refused(packed)
    lines = [line.partition(";")[0].removeprefix(f"{packed}:assessment/") for line in message.splitlines()]
    assert sorted(lines) == [
        "cubes/rgb/0000.png: found a web page",
        "cubes/rgb: found 2 files, and none for 1 scenes: 0002",
        "spheres/azimuth.npy: found nothing",
        "spheres/lidar/0002.npy: found a Git LFS pointer, not the file itself",
    ]


def test_a_truncated_class_is_reported_with_its_counts(many: Path, tmp_path: Path) -> None:
    """As 752 spheres beside 9,999 cubes."""
    good = Path(shutil.copytree(many, tmp_path / "in/set"))
    gone(good, *(f"spheres/{file}" for n in range(23, 300) for file in (f"rgb/{n:04d}.png", f"lidar/{n:04d}.npy")))
    message = refused(good)
    for sensor in ("rgb", "lidar"):
        found = f"{good}/spheres/{sensor}: found 23 files, and none for 277 scenes: 0023 .. 0299;"
        assert f"{found} expected one for each of 300 scenes; restore them, or leave out" in message
    assert "cubes" not in message
    result = import_set(good, skip=True)
    assert result.scenes == 23
    assert result.notes == ["left out, since they lack a frame: 277 scenes, 0023 .. 0299"]


def test_more_lidar_than_rgb_is_reported_with_its_counts(good: Path, tmp_path: Path, pristine: Path) -> None:
    """As 10,029 lidar files beside 9,999 of rgb."""
    shutil.copy(good / "cubes/lidar/0000.npy", good / "cubes/lidar/0003.npy")
    message = refused(good)
    for home in ("cubes/rgb", "spheres/rgb", "spheres/lidar"):
        assert f"{good}/{home}: found 3 files, and none for 1 scenes: 0003; expected one for each of 4" in message
    assert import_set(good, skip=True).notes == ["left out, since they lack a frame: 1 scenes, 0003"]
    assert same(tmp_path / "data", pristine)


def test_a_source_without_a_class_is_refused_even_with_skip(good: Path) -> None:
    shutil.rmtree(good / "spheres")
    for skip in (False, True):
        message = refused(good, skip=skip)
        assert f"{good}/spheres/rgb: found 0 files, and none for 3 scenes: 0000 .. 0002" in message
        assert f"{good}/spheres/zenith.npy: found nothing" in message


# --- left out


def test_skip_leaves_out_broken_scenes_and_lists_them(good: Path, tmp_path: Path, pristine: Path) -> None:
    (good / "cubes/rgb/0001.png").write_bytes(b"")
    result = import_set(good, skip=True)
    assert result.scenes == 2 and result.notes == [
        "left out, since a frame is broken: 1 scenes, 0001",
        "scenes were renumbered from 0000, in the order of 0000, 0002",
    ]
    data = tmp_path / "data"
    assert [pair.scene for pair in list_pairs(data)] == [0, 1, 0, 1] and not index_folder(data).issues
    assert (data / "spheres/rgb/0001.png").read_bytes() == (pristine / "spheres/rgb/0002.png").read_bytes()


def test_skip_leaves_out_what_the_check_finds(good: Path) -> None:
    faults.FAULTS["frame in both classes"].plant(good)
    assert import_set(good, skip=True).notes[0] == "left out, since a frame is broken: 1 scenes, 0001"


def test_skip_with_nothing_left_is_refused(good: Path) -> None:
    for scene in range(3):
        (good / f"cubes/rgb/000{scene}.png").write_bytes(b"")
    assert "found 0 valid scenes; expected at least one" in refused(good, skip=True)


def test_angles_are_not_skipped(good: Path) -> None:
    gone(good, "cubes/zenith.npy")
    assert "so that a copy of the other's will do" in refused(good, skip=True)


# --- drawn


def test_a_subset_is_even_whole_and_the_same_each_time(many: Path, tmp_path: Path) -> None:
    first, again, other = (
        import_dataset(str(many), tmp_path / name, 20, seed, False)
        for name, seed in (("first", 1), ("again", 1), ("other", 2))
    )
    assert same(first.folder, again.folder) and not same(first.folder, other.folder)
    assert Counter(pair.label for pair in list_pairs(first.folder)) == {0: 20, 1: 20}
    scene = {path.read_bytes(): path.stem for path in (many / "cubes/rgb").iterdir()}
    drawn = [scene[(first.folder / f"cubes/rgb/{n:04d}.png").read_bytes()] for n in range(20)]
    assert drawn == sorted(set(drawn)) and drawn != [f"{n:04d}" for n in range(20)]
    for n, old in enumerate(drawn):  # the sphere and the LiDAR of the same scene
        for path in ("cubes/lidar/{}.npy", "spheres/rgb/{}.png", "spheres/lidar/{}.npy"):
            assert (first.folder / path.format(f"{n:04d}")).read_bytes() == (many / path.format(old)).read_bytes()
    assert first.notes[0] == "20 of 300 complete scenes were drawn, with seed 1"


def test_a_subset_reads_no_more_than_it_takes(many: Path, tmp_path: Path, reads: Counter) -> None:
    import_dataset(str(many), tmp_path / "data", 5, 0, False)
    assert sum(reads.values()) == 5 * 4 + 4


def test_a_broken_scene_of_a_subset_is_replaced_with_skip(good: Path) -> None:
    assert "found 3 complete scenes; expected at least the 4 asked for" in refused(good, scenes=4)
    (good / "spheres/lidar/0000.npy").write_bytes(b"")
    assert import_set(good, scenes=2, skip=True).notes[-1].endswith("in the order of 0001 .. 0002")
    shutil.rmtree(good.parent.parent / "data")
    assert "found 2 valid scenes; expected the 3 asked for" in refused(good, scenes=3, skip=True)


# --- the command


def test_the_command_reports_its_result_and_refuses_without_a_traceback(good: Path, tmp_path: Path) -> None:
    gone(good, "spheres/zenith.npy")
    command = [sys.executable, "-m", "pipeline", "import", str(good), str(tmp_path / "data")]
    command += ["--scenes", "2", "--known-angles"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert "- absent from the source, and assumed as those of the course's LiDAR: spheres/zenith.npy" in done.stdout
    assert done.returncode == 0 and "2 of 3 complete scenes were drawn, with seed 0" in done.stdout
    assert "data: 2 scenes, 4 pairs\nto train on it" in done.stdout
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 1 and done.stderr.startswith("error: ") and "Traceback" not in done.stderr

"""Faults planted into a good folder, one by one and together, and the issues found."""

import json
import os
import re
import shutil
import stat
import tempfile
from pathlib import Path

import numpy as np
import pytest

from pipeline.core.errors import PipelineError
from pipeline.core.sensors import CLASSES, SENSORS
from pipeline.raw.format import MAX_LISTED, WARNINGS
from pipeline.raw.index import index_folder
from pipeline.raw.splitting import split_by_scene
from pipeline.raw.validate import ValidationReport, format_report, report_to_dict, validate_folder
from pipeline.tools.simulator.simulate import simulate
from support import faults
from support.implausible import IMPLAUSIBLE

FAULTS = faults.FAULTS | IMPLAUSIBLE
FRACTIONS = {"train": 0.7, "val": 0.1, "test": 0.2}


def split(scenes: np.ndarray, returns: np.ndarray) -> dict[int, str]:
    assert scenes.shape == returns.shape
    return {0: "train", 1: "val", 2: "test"}


def validate(folder: Path) -> ValidationReport:
    return validate_folder(index_folder(folder), split)


# --- a good folder


def test_a_good_folder_has_no_finding(good: Path) -> None:
    report = validate(good)
    assert report.issues == [] and report.usable_rows().all() and report.split_ids.tolist() == [0, 1, 2] * 2
    assert format_report(report) == f"{good}: 6 pairs, no issues found"


@pytest.mark.slow
def test_two_thousand_good_pairs_have_no_finding(tmp_path: Path) -> None:
    simulate(tmp_path / "set", scenes=1000, seed=11)
    report = validate_folder(
        index_folder(tmp_path / "set"), lambda scenes, _: split_by_scene(scenes, FRACTIONS, seed=0)
    )
    assert report.issues == [] and len(report.rows) == 2000


def test_links_inside_the_folder_are_followed(good: Path) -> None:
    target = good / "cubes/rgb/0001.png"
    target.rename(good / "cubes/rgb/first.png")
    target.symlink_to("first.png")
    assert [issue.code for issue in validate(good).issues] == ["name"]


# --- planted faults


def test_there_are_many_codes() -> None:
    codes = {planted.code for planted in FAULTS.values()}
    assert len(FAULTS) >= 70 and len(codes) >= 40
    assert WARNINGS <= codes | {"duplicate", "no-split"}  # those two are planted below


@pytest.mark.parametrize("planted", FAULTS.values(), ids=FAULTS)
def test_a_planted_fault_is_found(good: Path, planted: faults.Planted) -> None:
    planted.plant(good)
    report = validate(good)
    found = [issue for issue in report.issues if (issue.code, issue.path) == (planted.code, good / planted.path)]
    assert any(re.search(planted.words, str(issue)) for issue in found), report.issues
    assert all("\n" not in str(issue) for issue in report.issues)
    expected = "warning" if planted.code in WARNINGS else "error"
    assert {issue.severity for issue in found} == {expected}
    assert f"{expected}: {planted.code}" in format_report(report)


@pytest.mark.parametrize(
    "name, hint",
    [
        ("rgb without alpha", "add an opaque alpha channel, as `python -m pipeline import` does to a set"),
        ("angles missing", "restore it, or let `python -m pipeline import --known-angles` write the set anew"),
    ],
)
def test_the_check_names_the_import_that_completes_a_set(good: Path, name: str, hint: str) -> None:
    FAULTS[name].plant(good)
    report = validate_folder(index_folder(good), None)
    assert [issue.hint for issue in report.errors] == [hint]


@pytest.mark.parametrize("name", FAULTS)
def test_nothing_but_the_planted_fault_is_found(good: Path, name: str) -> None:
    """What a fault entails, as a scene that is then missing elsewhere, is an issue of that scene or folder."""
    planted = FAULTS[name]
    planted.plant(good)
    entailed = {"no-split", "imbalance", "no-returns-at-all", "no-return", "black", "duplicate", "gap"}
    entailed |= {"no-pairs"} if planted.code == "no-folder" else set()
    others = [issue for issue in validate(good).issues if issue.code not in {planted.code, *entailed}]
    where = {"unpaired", "lone-scene", "missing", "broken-link", "link-outside", "not-a-file", "leak", "two-classes"}
    where |= (
        {"mismatched"} if name == "frame in two splits" else set()
    )  # the picture of one scene, the LiDAR of another
    assert {issue.code for issue in others} <= where, others


def test_all_faults_are_found_not_the_first(good: Path) -> None:
    names = "stray at the top", "lidar missing", "rgb cut in half", "angles too few", "depth negative"
    planted = [FAULTS[name] for name in names if name != "lidar missing"]
    for each in planted:
        each.plant(good)
    (good / "cubes/lidar/0002.npy").unlink()
    found = {(issue.code, issue.path) for issue in validate(good).issues}
    assert {(each.code, good / each.path) for each in planted} | {("unpaired", good / "cubes/lidar/0002.npy")} <= found


def test_a_long_gap_is_one_issue(good: Path) -> None:
    for name in CLASSES:
        for sensor, suffix in SENSORS.items():
            home = good / name / sensor
            (home / f"0002{suffix}").rename(home / f"123456{suffix}")
    assert [issue.found for issue in index_folder(good).issues] == ["a gap at 0002 .. 123455"]


def test_a_class_that_was_truncated_is_one_issue_however_long(tmp_path: Path) -> None:
    simulate(tmp_path / "set", scenes=40, seed=0)
    for scene in range(3, 40):
        (tmp_path / f"set/spheres/rgb/{scene:04d}.png").unlink()
        (tmp_path / f"set/spheres/lidar/{scene:04d}.npy").unlink()
    lone, imbalance = index_folder(tmp_path / "set").issues
    assert lone.found == "no scene 0003 .. 0039" and lone.scenes == range(3, 40)
    assert imbalance.found == "40 cubes, 3 spheres"


def test_what_cannot_be_opened_is_found(pristine: Path) -> None:
    """As another user, since an administrator may open everything."""
    with tempfile.TemporaryDirectory() as home:
        os.chmod(home, 0o755)
        folder = Path(shutil.copytree(pristine, Path(home) / "set"))
        (folder / faults.RGB).chmod(0)
        administrator = os.geteuid() == 0
        if administrator:
            os.seteuid(65534)
        try:
            issues = validate(folder).issues
        finally:
            if administrator:
                os.seteuid(0)
    assert [(issue.code, issue.path, issue.found) for issue in issues if issue.code != "no-split"] == [
        ("unreadable", folder / faults.RGB, "Permission denied")
    ]


def test_a_frame_twice_in_one_split_is_a_warning(tmp_path: Path) -> None:
    simulate(tmp_path / "set", scenes=5, seed=0)
    for frame, copy in (("rgb/0000.png", "rgb/0003.png"), ("lidar/0000.npy", "lidar/0003.npy")):
        shutil.copy(tmp_path / "set/cubes" / frame, tmp_path / "set/cubes" / copy)
    names = {0: "train", 1: "val", 2: "test", 3: "train", 4: "train"}
    report = validate_folder(index_folder(tmp_path / "set"), lambda *_: names)
    assert [(issue.code, issue.severity) for issue in report.issues] == [("duplicate", "warning")] * 2
    assert report.usable_rows().all()


def test_a_split_that_cannot_be_made_is_a_warning(good: Path) -> None:
    def fail(*_: object) -> dict[int, str]:
        raise PipelineError("split val gets no scene")

    report = validate_folder(index_folder(good), fail)
    assert [(issue.code, issue.found) for issue in report.issues] == [("no-split", "split val gets no scene")]
    assert not report.usable_rows().any()


@pytest.mark.parametrize("name", [b"\xff.png", b"a\nerror: b.png", b"\x1b[31m.png"], ids=repr)
def test_names_that_no_terminal_should_see_are_escaped(good: Path, name: bytes) -> None:
    Path(os.fsdecode(os.fsencode(good / "cubes/rgb/") + b"/" + name)).touch()
    report = validate(good)
    assert [issue.code for issue in report.issues] == ["name"]
    text = format_report(report)
    assert text.encode() and text.count("\n") == 7 and "\x1b" not in text
    json.dumps(report_to_dict(report)).encode()


# --- rows left to use


def test_a_broken_frame_takes_its_scene_out_of_both_classes(good: Path) -> None:
    FAULTS["depth cut in half"].plant(good)
    report = validate(good)
    assert report.rows.scene[report.usable_rows()].tolist() == [0, 2, 0, 2]


def test_a_leaking_scene_is_left_out_and_its_original_stays(good: Path) -> None:
    faults.same_scene(good)
    assert validate(good).rows.scene[validate(good).usable_rows()].tolist() == [0, 2, 0, 2]


# --- reports


def test_the_table_counts_by_code_and_cuts_long_lists(tmp_path: Path) -> None:
    simulate(tmp_path / "set", scenes=30, seed=0)
    for scene in range(25):
        (tmp_path / f"set/cubes/rgb/x{scene}.png").touch()
    (tmp_path / "set/notes.txt").touch()
    text = format_report(validate(tmp_path / "set"))
    assert text.splitlines()[0] == f"{tmp_path / 'set'}: 60 pairs, 25 errors, 1 warning"
    assert re.search(r"^error +name +25$", text, re.M) and re.search(r"^warning +stray +1$", text, re.M)
    assert text.count("the name x") == MAX_LISTED and "  ... and 5 more" in text


def test_json_has_everything(good: Path) -> None:
    (good / "cubes/rgb/0002.png").unlink()
    (good / "notes.txt").touch()
    report = json.loads(json.dumps(report_to_dict(validate(good))))
    assert report["pairs"] == 5 and report["files"]["cubes"] == {"rgb": 2, "lidar": 3, "pairs": 2}
    assert report["errors"] == [
        {
            "path": str(good / "cubes/rgb/0002.png"),
            "code": "unpaired",
            "found": "nothing",
            "expected": f"the partner of {good / 'cubes/lidar/0002.npy'}",
            "hint": "restore it or remove the partner",
            "scenes": [2, 2],
        }
    ]
    assert {issue["code"] for issue in report["warnings"]} == {"stray", "imbalance"}


def test_nothing_in_the_folder_is_touched(good: Path) -> None:
    def state() -> list:
        return [(path, stat.S_IFMT(path.lstat().st_mode), path.lstat().st_mtime_ns) for path in sorted(good.rglob("*"))]

    before = state()
    validate(good)
    assert state() == before

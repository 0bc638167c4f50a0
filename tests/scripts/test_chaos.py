"""The parts of `make chaos` and `make repeat`: damage that shows, differences that are found, kills that end all."""

import os
from pathlib import Path
from random import Random

import psutil
import pytest
import yaml

from scripts.corruptions import KINDS, damage
from scripts.kills import WAYS, make_stale, start_and_kill
from scripts.projects import compare_results


@pytest.mark.parametrize("kind", KINDS)
def test_damage_changes_a_file_and_no_link_of_it(tmp_path, kind):
    path, link, content = tmp_path / "file", tmp_path / "link", bytes(range(100))
    path.write_bytes(content)
    os.link(path, link)
    damage(path, kind, Random(1))
    assert not path.exists() if kind == "deleted" else path.read_bytes() != content
    assert link.read_bytes() == content


@pytest.mark.parametrize("kind", KINDS)
def test_an_empty_file_can_be_damaged(tmp_path, kind):
    (tmp_path / "file").touch()
    damage(tmp_path / "file", kind, Random(1))


def test_seeds_repeat_the_damage(tmp_path):
    def flipped(seed: str) -> bytes:
        (tmp_path / "file").write_bytes(bytes(100))
        damage(tmp_path / "file", "a byte flipped", Random(seed))
        return (tmp_path / "file").read_bytes()

    assert flipped("0 corruption-3") == flipped("0 corruption-3") != flipped("0 corruption-4")


def test_other_bytes_and_files_that_one_project_lacks_are_differences(tmp_path):
    for project in ("a", "b"):
        (tmp_path / project / "runs/x").mkdir(parents=True)
        (tmp_path / project / "data").mkdir()
        (tmp_path / project / "runs/x/equal").write_text("1")
        (tmp_path / project / "runs/x/other").write_text(project)
        (tmp_path / project / "data" / project).touch()
    assert compare_results(tmp_path / "a", tmp_path / "b") == ["data/a", "data/b", "runs/x/other"]
    assert compare_results(tmp_path / "a", tmp_path / "a") == []


@pytest.mark.slow
@pytest.mark.parametrize("way", WAYS)
def test_no_process_outlives_a_kill_that_it_does_not_ignore(tmp_path, way):
    marker = tmp_path / "pid"
    (tmp_path / "run.sh").write_text(f"echo $$ > {marker}; sleep 1.5")
    assert start_and_kill(tmp_path, "sh run.sh", 0.5, way) == 2
    assert not psutil.pid_exists(int(marker.read_text()))


def test_a_command_that_ends_before_the_kill_counts_as_none(tmp_path):
    assert start_and_kill(tmp_path, "true", 30, "SIGTERM") == 0


def test_stale_stages_have_no_outputs_and_nothing_to_be_restored_from(tmp_path):
    (tmp_path / "dvc.lock").write_text("stages: {a: {outs: [{path: runs/a}, {path: gone}]}}")
    for folder in ("runs/a", ".dvc/cache/runs"):
        (tmp_path / folder).mkdir(parents=True)
    assert make_stale(tmp_path, Random(0)) == ["a"]
    assert not Path(tmp_path / "runs/a").exists() and not (tmp_path / ".dvc/cache/runs").exists()
    assert yaml.safe_load((tmp_path / "dvc.lock").read_text()) == {"stages": {}}

"""Where a result comes from: present where it is known, absent where it is not."""

import pytest

from pipeline.tracking.provenance import commit, data_hash, read_provenance
from support.commands import shell


@pytest.fixture
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name in ("DVC_EXP_NAME", "DVC_EXP_BASELINE_REV"):
        monkeypatch.delenv(name, raising=False)
    return tmp_path


def commit_project(folder) -> str:
    (folder / "dvc.yaml").write_text("stages: {}\n")
    (folder / "pipeline").mkdir()
    (folder / "pipeline" / "loop.py").write_text("pass\n")
    shell(folder, "git init -q . && git add -A && git commit -qm all")
    return shell(folder, "git rev-parse HEAD").strip()


def test_nothing_is_known_of_a_bare_folder(here):
    assert read_provenance() == {}


def test_a_commit_and_whether_the_code_is_still_that(here):
    known = commit_project(here)
    assert read_provenance() == {"commit": known, "dirty": False}
    (here / "runs").mkdir()
    (here / "runs" / "metrics.json").write_text("{}")  # results are not what decides on results
    assert read_provenance() == {"commit": known, "dirty": False}
    (here / "pipeline" / "new.py").write_text("pass\n")
    assert read_provenance() == {"commit": known, "dirty": True}


def test_a_changed_file_is_dirty(here):
    known = commit_project(here)
    (here / "pipeline" / "loop.py").write_text("1\n")
    assert read_provenance() == {"commit": known, "dirty": True}


def test_a_repository_without_commits(here):
    shell(here, "git init -q .")
    assert read_provenance() == {}


def test_somebody_elses_repository_around_us_is_not_ours(here, monkeypatch):
    (here / "inner").mkdir()
    (here / ".gitignore").write_text("inner\n")
    commit_project(here)
    (here / "inner" / "dvc.yaml").write_text("stages: {}\n")
    monkeypatch.chdir(here / "inner")
    assert read_provenance() == {}


def test_no_git_on_this_machine(here, monkeypatch):
    commit_project(here)
    monkeypatch.setenv("PATH", str(here))
    assert read_provenance() == {}


def test_the_data_by_its_hash(here):
    (here / "data.dvc").write_text("outs:\n- md5: b407.dir\n  path: data\n")
    assert read_provenance() == {"data": "b407.dir"}


@pytest.mark.parametrize("text", ["", "outs: []\n", "- 1\n", "outs: [", "outs:\n- path: data\n"])
def test_a_data_file_without_a_hash(here, text):
    (here / "data.dvc").write_text(text)
    assert read_provenance() == {}


def test_the_experiment_as_dvc_names_it(here, monkeypatch):
    monkeypatch.setenv("DVC_EXP_NAME", "ropey-tare")
    monkeypatch.setenv("DVC_EXP_BASELINE_REV", "5588")
    assert read_provenance() == {"experiment": "ropey-tare", "baseline": "5588"}


def test_one_text_for_a_commit_and_whether_it_is_dirty(here, monkeypatch):
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(here.parent))
    assert commit() == "unknown"
    known = commit_project(here)
    assert commit() == known and len(known) == 40
    (here / "pipeline" / "loop.py").write_text("2\n")
    assert commit() == f"{known}+changes"


def test_the_data_hash_is_that_of_the_run(here):
    lock = here / "dvc.lock"
    assert data_hash() == data_hash(lock) == "unknown"
    lock.write_text("stages:\n  prepare:\n    deps:\n    - {path: data, md5: abc.dir}\n")
    assert data_hash() == data_hash(lock) == "abc.dir"
    lock.write_text("stages: {}\n")
    assert data_hash(lock) == "unknown"

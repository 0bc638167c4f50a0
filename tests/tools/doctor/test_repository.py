"""Git and DVC, in repositories that lack something."""

import os
import shutil
import tempfile
from pathlib import Path

import pytest
import zc.lockfile

from pipeline.tools.doctor.finding import Finding
from pipeline.tools.doctor.repository import check_dvc, check_git, check_lock
from support.commands import shell


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Work in an empty folder, as a user whose Git and DVC have no settings."""
    for name in [name for name in os.environ if name.startswith(("GIT_", "EMAIL"))]:
        monkeypatch.delenv(name)
    settings = {"HOME": tmp_path, "GIT_CONFIG_GLOBAL": os.devnull, "GIT_CONFIG_NOSYSTEM": 1, "DVC_NO_ANALYTICS": 1}
    settings |= {"DVC_SITE_CACHE_DIR": tmp_path / "site", "GIT_CEILING_DIRECTORIES": tmp_path}
    settings |= {"DVC_GLOBAL_CONFIG_DIR": tmp_path / "global", "DVC_SYSTEM_CONFIG_DIR": tmp_path / "system"}
    for name, value in settings.items():
        monkeypatch.setenv(name, str(value))
    folder = tmp_path / "clone"
    folder.mkdir()
    monkeypatch.chdir(folder)
    return folder


@pytest.fixture
def clone(folder: Path) -> Path:
    """Work in a repository with one commit, whose user has an identity."""
    (folder / "dvc.yaml").touch()
    shell(
        folder, "git init -q . && git add -A && git commit -qm all && git config user.name a && git config user.email b"
    )
    return folder


def test_a_clone(clone: Path) -> None:
    assert check_git() == Finding("ok", "a clone")


def test_a_worktree(clone: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    shell(clone, "git worktree add -q ../other")
    monkeypatch.chdir(clone.parent / "other")
    assert check_git() == Finding("ok", f"a worktree of {clone}/.git")
    clone.rename(clone.parent / "elsewhere")  # as where a container mounts the worktree alone
    status, found, fix = check_git()
    assert status == "note" and "not a git repository" in found and "mount" in fix


def test_no_git(clone: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(clone / "bin"))
    assert check_git() == Finding("note", "not installed; a run needs none, experiments do", "install git")


def test_no_repository(folder: Path) -> None:
    status, found, fix = check_git()
    assert status == "note" and found.startswith("found no Git repository that has dvc.yaml") and "git init" in fix


def test_no_identity(clone: Path) -> None:
    shell(clone, "git config --unset user.name && git config --unset user.email")
    status, found, fix = check_git()
    assert status == "note" and found.startswith("found no name and address of yours in Git")
    shell(clone, fix)
    assert check_git().status == "ok"


@pytest.mark.skipif(os.geteuid() != 0, reason="only root gives files away")
def test_a_repository_of_another_user(clone: Path) -> None:
    os.chown(clone, 12345, 12345)
    status, found, fix = check_git()
    assert status == "note" and "dubious ownership" in found
    assert fix == f"`git config --global --add safe.directory {clone}`"


@pytest.fixture
def project(folder: Path) -> Path:
    """Work in a folder of DVC without Git."""
    (folder / ".dvc").mkdir()
    (folder / ".dvc" / "config").write_text("['remote \"store\"']\n    url = https://user:secret@example.org\n")
    return folder


def test_dvc_as_it_is_set(project: Path) -> None:
    status, found, fix = check_dvc()
    assert status == "ok" and f"cache {project}/.dvc/cache" in found and "by reflink, copy; remote: store" in found
    assert "secret" not in found


def test_no_dvc(folder: Path) -> None:
    status, found, fix = check_dvc()
    assert status == "problem" and found.startswith("found no folder .dvc") and "clone" in fix


def test_settings_that_dvc_refuses(project: Path) -> None:
    (project / ".dvc" / "config.local").write_text("[cache]\n    type = magic\n")
    status, found, fix = check_dvc()
    assert status == "problem" and "magic" in found and ".dvc/config.local" in fix


def test_links_that_the_file_systems_bar(project: Path) -> None:
    with tempfile.TemporaryDirectory(dir="/dev/shm") as cache:  # another file system, to which no hard link leads
        (project / ".dvc" / "config").write_text(f"[cache]\n    dir = {cache}\n    type = hardlink\n")
        status, found, fix = check_dvc()
    assert status == "problem" and found.startswith(f"found cache.type hardlink, which is not possible between {cache}")
    shutil.copy(project / ".dvc" / "config", project / ".dvc" / "config.local")
    shell(project, fix.strip("`"))
    assert check_dvc().status == "ok"
    assert sorted(path.name for path in project.iterdir()) == [".dvc"]


def test_a_place_for_hashes_that_bars_writing(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (project / "file").touch()
    monkeypatch.setenv("DVC_SITE_CACHE_DIR", str(project / "file" / "below"))
    status, found, fix = check_dvc()
    assert status == "problem" and f"{project}/file" in found and "DVC_SITE_CACHE_DIR" in fix


def test_another_dvc_at_work(project: Path) -> None:
    assert check_lock() == Finding("ok", "no other process of DVC is at work here")
    (project / ".dvc" / "tmp").mkdir()
    lock = zc.lockfile.LockFile(str(project / ".dvc" / "tmp" / "lock"))
    found = f"process {os.getpid()} is at work in this repository"
    assert check_lock() == Finding("problem", found, "wait until it ends")
    lock.close()
    assert check_lock().status == "ok"

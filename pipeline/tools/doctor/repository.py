"""Checks of the repository: Git, DVC, and whether another process of DVC is at work."""

import fcntl
import os
import shutil
import subprocess
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from pipeline.tools.doctor.finding import Finding, note, ok, problem

if TYPE_CHECKING:
    from dvc.repo import Repo

LOCK = Path(".dvc/tmp/lock")  # of DVC, which `dvc` and the driver hold while they work
REQUIRE_GIT = Path(__file__).parents[3] / "scripts" / "require_git.sh"  # what `make sweep` asks before it trains


def check_git() -> Finding:
    """Ask whether experiments, which are commits, can be made here; a run needs no Git."""
    if not shutil.which("git"):
        return note("not installed; a run needs none, experiments do", "install git")
    answer = _run("git", "rev-parse", "--git-dir", "--git-common-dir")
    if answer.returncode and Path(".git").exists():
        return _explain(answer.stderr)
    refused = _run("sh", REQUIRE_GIT)
    if refused.returncode:
        found, _, fix = refused.stderr.strip().removeprefix("error: ").partition("; fix: ")
        return note(f"{found}; a run needs none", fix)
    folder, common = (Path(line).resolve() for line in answer.stdout.splitlines())
    return ok("a clone" if folder == common else f"a worktree of {common}")


def _explain(error: str) -> Finding:
    """Return a note on a repository that Git refuses to open."""
    reason = error.splitlines()[0] if error else "no reason given"
    if "dubious ownership" in error:
        fix = f"`git config --global --add safe.directory {Path.cwd()}`"
    else:
        fix = "in a container mount the repository to which this worktree belongs as well, at its own path"
    return note(f"Git does not open this repository ({reason}); a run needs none, experiments do", fix)


def check_dvc() -> Finding:
    """Open DVC's repository, and name its version, the cache, how files come out of it, and the remote."""
    from dvc import __version__
    from dvc.exceptions import DvcException, NotDvcRepoError
    from dvc.repo import Repo

    try:
        with Repo(config={"core": {"no_scm": True}}) as repo:  # Git has a check of its own
            return _describe(repo, __version__)
    except NotDvcRepoError:
        return problem("found no folder .dvc here or above, expected one", "run this in a clone of the repository")
    except DvcException as error:
        return problem(" ".join(str(error).split()), "correct .dvc/config or .dvc/config.local")
    except OSError as error:
        return problem(
            f"{error.filename or '.dvc'}: {error.strerror or error}; expected a folder that DVC can write to",
            "where it is not in the project, take another: `export DVC_SITE_CACHE_DIR=$HOME/.cache/dvc`",
        )


def _describe(repo: "Repo", version: str) -> Finding:
    """Return what a run needs to know of an open repository."""
    from dvc_objects.fs.generic import test_links

    cache, folder = repo.cache.local, repo.cache.local_cache_dir
    links, target = ", ".join(cache.cache_types), os.path.join(repo.root_dir, "link")
    # a copy is always possible; the trial writes a file into the cache and one beside `target`, and deletes both
    if "copy" not in cache.cache_types and not test_links(cache.cache_types, cache.fs, cache.path, repo.fs, target):
        return problem(
            f"found cache.type {links}, which is not possible between {folder} and {repo.root_dir}",
            "`dvc config --local cache.type reflink,copy`",
        )
    remotes = ", ".join(repo.config["remote"]) or "none"
    return ok(f"{version}; cache {folder}, files come out of it by {links}; remote: {remotes}")


def check_lock() -> Finding:
    """Ask whether another process of DVC is at work in this repository."""
    with suppress(FileNotFoundError), LOCK.open(encoding="utf-8") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            return problem(f"process {file.read().strip()} is at work in this repository", "wait until it ends")
    return ok("no other process of DVC is at work here")


def _run(*command: str | Path) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(command, capture_output=True, text=True, errors="replace")

"""The DVC repository around the working directory."""

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from pipeline.core.errors import PipelineError

if TYPE_CHECKING:
    from dvc.repo import Repo


@contextmanager
def open_repo() -> Iterator["Repo"]:
    """Open the DVC repository around the working directory, which may lie outside of Git.

    Raises PipelineError if there is none, or if DVC cannot write where it keeps hashes.
    """
    from dvc.exceptions import NotDvcRepoError  # slow to import, and few commands need it

    try:
        repo = _open_in_git() or _open_without_git()
    except NotDvcRepoError:
        raise PipelineError("found no folder .dvc here or above; run this in a clone of the repository") from None
    except OSError as error:
        raise PipelineError(
            f"{error.filename or '.dvc'}: {error.strerror or error}; expected a folder that DVC can write to; where it "
            "is not in the project, take another one: `export DVC_SITE_CACHE_DIR=$HOME/.cache/dvc`"
        ) from None
    with repo:
        yield repo


def _open_in_git() -> "Repo | None":
    """Return the repository; None where no Git knows it: a download without history, or in a folder that Git ignores.

    Where core.no_scm is set, that is for the user to change.
    """
    from dvc.repo import Repo
    from dvc.scm import SCMError

    try:
        repo = Repo()
    except SCMError:
        return None
    ignored = not repo.config["core"].get("no_scm") and repo.scm.is_ignored(os.path.join(repo.root_dir, "dvc.yaml"))
    return None if ignored else repo


def _open_without_git() -> "Repo":
    """Set core.no_scm, which every later `dvc` in this folder needs too, and return the repository."""
    from dvc.repo import Repo

    repo = Repo(config={"core": {"no_scm": True}})
    with repo.config.edit("local") as local:
        local["core"]["no_scm"] = True
    print(
        "no Git repository knows this folder: DVC works without Git from now on, and without experiments "
        "(core.no_scm in .dvc/config.local)",
        file=sys.stderr,
    )
    return repo

"""The DVC repository around the working directory."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from pipeline.core.errors import PipelineError

if TYPE_CHECKING:
    from dvc.repo import Repo


@contextmanager
def open_repo() -> Iterator["Repo"]:
    """Open the DVC repository around the working directory; raises PipelineError if it is none, or not in Git."""
    from dvc.exceptions import NotDvcRepoError  # slow to import, and few commands need it
    from dvc.repo import Repo
    from dvc.scm import SCMError

    try:
        repo = Repo()
    except SCMError:
        raise PipelineError(
            "found no Git repository around this folder (a download without its history?); DVC expects one by "
            "default; run `dvc config --local core.no_scm true` to work without Git, or clone the repository"
        ) from None
    except NotDvcRepoError:
        raise PipelineError("found no folder .dvc here or above; run this in a clone of the repository") from None
    with repo:
        yield repo

"""The files of a commit, by Git's command line."""

import io
import tarfile

from pipeline.tracking.provenance import run_git


def read_files(commit: str, *paths: str) -> dict[str, str]:
    """Return path -> text of the files of a commit at or below `paths`, relative to the current folder.

    Returns nothing if one of `paths` is not in the commit.
    """
    archive = run_git("archive", "--format=tar", commit, *paths)
    if not archive:
        return {}
    with tarfile.open(fileobj=io.BytesIO(archive)) as files:
        return {
            member.name: io.TextIOWrapper(file, encoding="utf-8", errors="replace").read()  # with Unix line ends
            for member in files
            if (file := files.extractfile(member))
        }

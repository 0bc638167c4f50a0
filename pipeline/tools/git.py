"""Git by its command line: the output of a command, and the files of a commit."""

import io
import subprocess
import tarfile


def run_git(*words: str) -> bytes | None:
    """Return the output of a Git command; None if it fails, or without a repository, or without Git."""
    try:
        done = subprocess.run(["git", *words], capture_output=True)
    except OSError:
        return None
    return done.stdout if done.returncode == 0 else None


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

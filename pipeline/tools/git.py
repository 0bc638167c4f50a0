"""Git by its command line."""

import subprocess


def run_git(*words: str, input: str = "") -> str | None:
    """Return what a Git command writes; None if it fails, or without a repository, or without Git."""
    try:
        done = subprocess.run(["git", *words], input=input.encode(), capture_output=True)
    except OSError:
        return None
    return done.stdout.decode(errors="replace") if done.returncode == 0 else None

"""Code that runs where folders of the system are replaced, for itself alone."""

import subprocess
import sys

import pytest

from support.commands import ROOT


def in_own_mounts(code: str, mounts: str) -> str:
    """Run Python code where `mounts` are made that nobody else sees; gives its output."""
    can = subprocess.run(["unshare", "--mount", "true"], capture_output=True)
    if can.returncode:
        pytest.skip("this machine allows no mounts")
    command = ["unshare", "--mount", "sh", "-ec", f"{mounts}; exec {sys.executable} -c '{code}'"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0 and not done.stderr, done.stderr
    return done.stdout

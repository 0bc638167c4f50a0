"""Checks of Python, its packages, wandb and Ray."""

import os
import re
import sys
from collections.abc import Iterator
from importlib import metadata
from pathlib import Path

from pipeline.tools.doctor.finding import Finding, note, ok, problem

REQUIREMENTS = Path("requirements.txt")
INSTALL = "`pip install -r requirements.txt -c constraints.txt`, or `make setup`"
INSTALL_RAY = "`pip install -r requirements-cluster.txt -c constraints.txt`"
PYTHONS = (11, 14)  # the first and the last minor version, as requires-python of pyproject.toml has them


def check_python() -> Finding:
    """Compare the version of Python with those that the project supports."""
    first, last = PYTHONS
    major, minor, micro = sys.version_info[:3]
    found = f"{major}.{minor}.{micro}"
    if major == 3 and first <= minor <= last:
        return ok(found)
    return problem(f"found {found}, expected 3.{first} to 3.{last}", f"`make setup PYTHON=python3.{last}`")


def check_packages() -> Finding:
    """Compare the installed packages with the pins of requirements.txt."""
    absent, other, count = [], [], 0
    for name, pinned in _read_pins():
        count += 1
        try:
            version = metadata.version(name)
        except metadata.PackageNotFoundError:
            absent.append(f"{name}=={pinned}")
            continue
        if version.partition("+")[0] != pinned:  # torch's build stands behind the plus
            other.append(f"{name} {version}, not {pinned}")
    if absent:
        return problem(f"found no {', '.join(absent)}, expected all packages of {REQUIREMENTS}", INSTALL)
    if other:
        return note(f"found {', '.join(other)}: results may differ", INSTALL)
    return ok(f"{count} as pinned in {REQUIREMENTS}")


def _read_pins() -> Iterator[tuple[str, str]]:
    """Yield name and version of each pin of requirements.txt."""
    for line in REQUIREMENTS.read_text(encoding="utf-8").splitlines():
        if pin := re.match(r"([\w.-]+)==([\w.]+)", line):
            yield pin[1], pin[2]


def check_wandb() -> Finding:
    """Name the mode of tracking, which WANDB_MODE sets."""
    from pipeline.tracking.wandb_run import MODES, SYNONYMS, wandb_folder  # an absent package is a finding as well

    value = os.environ.get("WANDB_MODE") or "offline"
    mode = SYNONYMS.get(value.lower(), value.lower())
    if mode not in MODES:
        return note(
            f"found WANDB_MODE={value}, expected {', '.join(MODES)}; trainings are not tracked", "unset WANDB_MODE"
        )
    if mode == "online":
        return note(
            "online: trainings are uploaded, and stay offline where no server answers",
            "`wandb login` with an account, or unset WANDB_MODE",
        )
    return ok("disabled" if mode == "disabled" else f"offline, runs go to {wandb_folder()}; no account is needed")


def check_ray() -> Finding:
    """Name the version of Ray, the extra by which trainings run on other hosts."""
    try:
        return ok(metadata.version("ray"))
    except metadata.PackageNotFoundError:
        return note("not installed; a run on other machines needs it", INSTALL_RAY)

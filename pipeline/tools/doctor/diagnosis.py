"""All checks, in the order of the printed lines, and those that are quick enough to begin each run with."""

import sys
from collections.abc import Callable, Mapping

from pipeline.core.errors import PipelineError, printable
from pipeline.tools.doctor.finding import Finding, problem
from pipeline.tools.doctor.gpu import check_cuda, check_device, check_torch, gpu_checks
from pipeline.tools.doctor.repository import check_dvc, check_git, check_lock
from pipeline.tools.doctor.resources import check_cores, check_disk, check_memory, check_shared_memory
from pipeline.tools.doctor.software import INSTALL, check_packages, check_python, check_ray, check_wandb

Checks = Mapping[str, Callable[[], Finding]]
# they start no process and import nothing but torch, which a run imports anyway
QUICK: Checks = {
    "python": check_python,
    "cuda": check_cuda,
    "memory": check_memory,
    "disk": check_disk,
    "lock": check_lock,
}


def all_checks() -> Checks:
    """Return name -> check; each GPU that torch reaches has one."""
    return {
        "python": check_python,
        "packages": check_packages,
        "torch": check_torch,
        "cuda": check_cuda,
        **gpu_checks(),
        "device": check_device,
        "cores": check_cores,
        "memory": check_memory,
        "/dev/shm": check_shared_memory,
        "disk": check_disk,
        "git": check_git,
        "dvc": check_dvc,
        "lock": check_lock,
        "wandb": check_wandb,
        "ray": check_ray,
    }


def diagnose(checks: Checks) -> dict[str, Finding]:
    """Return name -> finding of each check; one that cannot be made is a problem."""
    return {name: _find(check) for name, check in checks.items()}


def _find(check: Callable[[], Finding]) -> Finding:
    """Return the finding of a check; its text has no line breaks."""
    try:
        status, found, fix = check()
        return Finding(status, printable(found), fix)
    except ImportError as error:
        return problem(printable(str(error)), INSTALL)
    except PipelineError as error:
        return problem(printable(str(error)), "")  # which names its own
    except OSError as error:
        found = f"{error.filename}: {error.strerror}" if error.filename else str(error)
        return problem(printable(found), "run this in the root folder of a clone, as its owner")


def format_line(name: str, finding: Finding) -> str:
    """Return a finding as one line of text."""
    fix = f"; fix: {finding.fix}" if finding.fix else ""
    return f"{finding.status:<8} {name:<9} {finding.found}{fix}"


def format_summary(findings: Mapping[str, Finding]) -> str:
    """Return one line with the numbers of problems and notes."""
    statuses = [finding.status for finding in findings.values()]
    return f"problems: {statuses.count('problem')}, notes: {statuses.count('note')}, of {len(statuses)} checks"


def print_problems() -> None:
    """Print a line for each problem that the quick checks find."""
    for name, finding in diagnose(QUICK).items():
        if finding.status == "problem":
            print(format_line(name, finding), file=sys.stderr)

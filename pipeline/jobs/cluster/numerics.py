"""What decides whether two trainings are comparable: the version of torch and the precision; beside them the device.

A node runs this file as a command, so that the process which Ray keeps there does without torch.
"""

import json
import os
import subprocess
import sys
from dataclasses import asdict, dataclass
from hashlib import sha256
from importlib.metadata import version
from pathlib import Path

from pipeline.core.errors import PipelineError, run_command
from pipeline.core.files import write_json


@dataclass(frozen=True)
class Numerics:
    """The versions of Python and torch, the precision in which nets multiply, and the name of the device."""

    python: str
    torch: str
    precision: str
    device: str
    gpu: bool

    def differences(self, expected: "Numerics") -> str:
        """Return what makes trainings here incomparable with those of `expected`; empty if nothing does."""
        pairs = [(name, getattr(self, name), getattr(expected, name)) for name in ("torch", "precision")]
        return ", ".join(f"{name} {here}, expected {there}" for name, here, there in pairs if here != there)


def read_numerics(requested: str) -> Numerics:
    """Return the numerics of this process for a `precision` of params.yaml; raises PipelineError if it has none."""
    from torch import __version__ as torch_version  # over a second

    from pipeline.core.device import device_name, precision_name, setup_device

    device = setup_device(requested)
    python = ".".join(map(str, sys.version_info[:3]))
    # the build, cpu or cu130, follows a plus sign: it is the device that decides, and the precision with it
    torch = str(torch_version).partition("+")[0]
    return Numerics(python, torch, precision_name(device), device_name(device), device.type == "cuda")


def read_numerics_once(requested: str, folder: Path, session: str) -> Numerics:
    """Return the numerics of a new process, or those that `folder` has of this session, torch and choice of devices."""
    visible = [os.environ.get(name) for name in ("CUDA_VISIBLE_DEVICES", "DEVICE")]
    key = json.dumps([session, sys.executable, version("torch"), requested, visible])
    path = folder / f"{sha256(key.encode()).hexdigest()}.json"
    if not path.exists():
        command = [sys.executable, "-m", "pipeline.jobs.cluster.numerics", requested]
        done = subprocess.run(command, capture_output=True, text=True)
        if done.returncode:
            reason = (done.stderr.strip().splitlines() or [f"exit code {done.returncode}"])[-1]
            raise PipelineError(f"{' '.join(command)}: {reason.removeprefix('error: ')}")
        write_json(path, json.loads(done.stdout.splitlines()[-1]))
    return Numerics(**json.loads(path.read_text(encoding="utf-8")))


def main(requested: str) -> None:
    print(json.dumps(asdict(read_numerics(requested))))


if __name__ == "__main__":
    run_command(main)

"""Run one stage on a node of a cluster, in a process that Ray keeps there for one driver.

The process works in a copy of the driver's code. Inputs come once a node, into a cache by their content. The stage runs
in a scratch folder, which is deleted; its outputs go back with their SHA-256.
"""

import fcntl
import os
import platform
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from hashlib import sha256
from pathlib import Path
from time import sleep
from typing import IO, Any
from uuid import uuid4

from pipeline.core.cores import ONE_THREAD
from pipeline.core.errors import PipelineError
from pipeline.core.files import atomic_folder
from pipeline.core.slots import SHARED_GPU, SLOTS, make_slots, try_slot
from pipeline.jobs.cluster.numerics import Numerics, read_numerics_once
from pipeline.jobs.launch import Ended, LocalLauncher
from pipeline.jobs.plan import Command

SECONDS_BETWEEN_LOOKS = 0.05
SECONDS_OF_INPUTS = 7 * 24 * 3600  # unused for so long, an input is deleted
# of this process, which serves one driver: what starts stages, and the pipe at whose end all of them are killed
_launcher: LocalLauncher | None = None
_pipe: IO[bytes] | None = None


@dataclass(frozen=True)
class Input:
    """A file or folder that a stage reads: where, the digest of its content, and the content as objects of Ray."""

    path: str  # from the root of the project
    key: str
    files: Mapping[str, Sequence[Any]]  # path below `path`, which is empty for a file -> references to its parts


@dataclass(frozen=True)
class Job:
    """A stage to run; paths are from the root of the project."""

    name: str
    lines: str
    folder: str
    variables: Mapping[str, str]
    inputs: Sequence[Input]
    outputs: Sequence[str]
    cores: int
    precision: str  # as in params.yaml
    expected: Numerics


@dataclass(frozen=True)
class Result:
    """How a job ended on a host: a problem of the host, or the exit code of the stage and what the stage left."""

    host: str
    problem: str = ""
    code: int = 1
    seconds: float = 0
    log: str = ""
    record: str = ""  # of core.slots.record_seconds
    manifest: Mapping[str, Any] = field(default_factory=dict)
    files: Mapping[str, bytes] = field(default_factory=dict)  # outputs, and wandb's runs below `wandb/`


def run_job(job: Job) -> Result:
    """Run a stage here. Never raises for what is wrong with stage or host: Ray would run it again elsewhere."""
    host = platform.node()
    try:
        return _run(job, host)
    except PipelineError as error:
        return Result(host, str(error))
    except OSError as error:
        return Result(
            host,
            f"{error.filename or node_folder()}: {error.strerror or error}; expected a folder with free space that "
            "Ray's user may write to; free space there, or start Ray there with another TMPDIR",
        )


def node_folder() -> Path:
    """Return this user's folder for inputs and scratch on this machine, below TMPDIR; raises OSError if it cannot be.

    Raises PipelineError if the folder is another user's.
    """
    folder = Path(tempfile.gettempdir()) / f"rgb-lidar-cilp-{os.getuid()}"
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    if folder.stat().st_uid != os.getuid():
        raise PipelineError(f"{folder}: found a folder of another user; expected one of Ray's user; delete it")
    for name in ("inputs", "scratch", "numerics"):
        (folder / name).mkdir(exist_ok=True)
    return folder


def _run(job: Job, host: str) -> Result:
    from ray import get_runtime_context

    folder = node_folder()
    with locked(folder / "numerics" / "lock"):
        numerics = read_numerics_once(job.precision, folder / "numerics", get_runtime_context().get_node_id())
    if differences := numerics.differences(job.expected):
        return Result(
            host, f"found {differences}; results would not be comparable; install that torch, or set `precision`"
        )
    with scratch_folder(folder / "scratch") as scratch:
        project = scratch / "project"
        assemble(project, job, folder / "inputs")
        ended = _compute(job, project)
        log, record = (_read(scratch / name) for name in ("log", "slots/record.jsonl"))
        files = _collect(project, job.outputs) if not ended.code else {}
        manifest = asdict(numerics) | {"host": host, "cores": job.cores, "seconds": ended.seconds}
        manifest["exclusive"] = SHARED_GPU not in job.variables
        manifest["files"] = {path: sha256(content).hexdigest() for path, content in files.items()}
        return Result(host, "", ended.code, ended.seconds, log, record, manifest, files)


@contextmanager
def locked(path: Path) -> Iterator[None]:
    """Hold a lock among the processes of this machine; a killed one lets go of it."""
    with path.open("a") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


@contextmanager
def scratch_folder(parent: Path) -> Iterator[Path]:
    """Yield a new folder and delete it at the end; those that killed processes left in `parent` are deleted first."""
    folder = parent / uuid4().hex
    with locked(parent / "all"):
        for path in parent.glob("*.lock"):
            with path.open("a") as file:
                try:
                    fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                except BlockingIOError:
                    continue
                shutil.rmtree(path.with_suffix(""), ignore_errors=True)
                path.unlink()
        lock = folder.with_suffix(".lock").open("a")
        fcntl.flock(lock, fcntl.LOCK_EX)
    with lock:
        folder.mkdir()
        try:
            yield folder
        finally:
            shutil.rmtree(folder, ignore_errors=True)
            folder.with_suffix(".lock").unlink()


def assemble(project: Path, job: Job, inputs: Path) -> None:
    """Fill the scratch folder: links to the code, where this process works, and to the inputs, which `inputs` holds."""
    project.mkdir()
    for entry in Path.cwd().iterdir():
        (project / entry.name).symlink_to(entry)
    with locked(inputs / "lock"):
        delete_unused(inputs)
        for each in job.inputs:
            if not (inputs / each.key).exists():
                _fetch(each, inputs / each.key)
            os.utime(inputs / each.key)
            link = project / each.path
            link.parent.mkdir(parents=True, exist_ok=True)
            link.symlink_to(inputs / each.key / "content")
    for path in job.outputs:
        (project / path).parent.mkdir(parents=True, exist_ok=True)


def delete_unused(inputs: Path) -> None:
    """Delete the inputs that no stage has used for SECONDS_OF_INPUTS."""
    clock = inputs / "lock"
    clock.touch()  # compared with times of its own file system alone
    for folder in inputs.iterdir():
        if folder.is_dir() and clock.stat().st_mtime - folder.stat().st_mtime > SECONDS_OF_INPUTS:
            shutil.rmtree(folder, ignore_errors=True)


def _fetch(each: Input, folder: Path) -> None:
    """Write an input from the objects of Ray to `content` in `folder`, whole or not at all."""
    import ray

    with atomic_folder(folder) as part:
        if "" not in each.files:
            (part / "content").mkdir()  # of a folder, which may be empty
        for name, references in each.files.items():
            path = part / "content" / name if name else part / "content"
            path.parent.mkdir(parents=True, exist_ok=True)
            with path.open("wb") as file:
                for reference in references:
                    file.write(ray.get(reference))
            path.chmod(0o444)  # stages of other drivers read it too


def _compute(job: Job, project: Path) -> Ended:
    """Run the command of a stage, with a slot a core, of which the stage has one from the start."""
    slots = project.parent / "slots"
    make_slots(slots, job.cores)
    environment = {name: value for name, value in os.environ.items() if name != "WANDB_DIR"} | ONE_THREAD
    environment |= job.variables
    environment |= {"DVC_ROOT": str(project), SLOTS: str(slots)}
    environment["PATH"] = os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", os.defpath)])
    try:
        launcher = _open_launcher()
        slot = try_slot(slots)
        assert slot is not None  # the folder is new
        with slot:
            command = Command(job.lines, project / job.folder, environment, {}, ())
            launcher.start(job.name, command, project.parent / "log")
            while not (ended := launcher.ended()):
                sleep(SECONDS_BETWEEN_LOOKS)
        return ended[job.name]
    except BaseException:  # Ray cancels a task by KeyboardInterrupt
        _close_launcher()
        raise


def _open_launcher() -> LocalLauncher:
    """Return the launcher of this process, whose stages are killed when this process ends.

    Ray kills the children of a process whose node is lost, and no process further down. So the shell that waits for the
    end of the pipe is no child of this process: it is left by one that has ended.
    """
    global _launcher, _pipe
    if _launcher is None:
        _launcher = LocalLauncher().__enter__()
        script = f"exec 3<&0; (cat <&3; kill -9 -{_launcher.group}) > /dev/null 2>&1 &"
        shell = subprocess.Popen(["/bin/sh", "-c", script], stdin=subprocess.PIPE, start_new_session=True)
        shell.wait()
        _pipe = shell.stdin
    return _launcher


def _close_launcher() -> None:
    global _launcher, _pipe
    if _launcher:
        _launcher.__exit__(None, None, None)
    if _pipe:
        _pipe.close()
    _launcher = _pipe = None


def _read(path: Path) -> str:
    return path.read_text(encoding="utf-8", errors="replace") if path.exists() else ""


def _collect(project: Path, outputs: Sequence[str]) -> dict[str, bytes]:
    """Return the content of the files of a stage's outputs and of wandb's runs, by path."""
    found = [path for name in outputs for path in (project / name, *sorted((project / name).rglob("*")))]
    found += [path for run in sorted((project / "wandb").glob("*run-*")) for path in sorted(run.rglob("*"))]
    files = [path for path in found if path.is_file() and not path.is_symlink()]
    return {str(path.relative_to(project)): path.read_bytes() for path in files}

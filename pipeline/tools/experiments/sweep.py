"""A grid of experiments in DVC's queue, whose trainings may run on a cluster of Ray.

DVC's workers restore what the run cache holds. So with a cluster, the driver first runs each queued experiment in a
copy of its files, with the cache of the project. The workers then find all of it done, and save the experiments.
"""

import io
import json
import os
import shutil
import subprocess
import sys
import tarfile
from collections.abc import Iterable, Sequence
from configparser import RawConfigParser
from dataclasses import dataclass
from pathlib import Path
from shlex import quote
from time import sleep
from typing import Any

from pipeline.core.cores import count_cores
from pipeline.core.errors import PipelineError, printable
from pipeline.core.slots import SHARED_GPU
from pipeline.jobs.cluster.node import scratch_folder
from pipeline.jobs.driver import LINES_OF_A_LOG, LOCAL
from pipeline.jobs.launch import LocalLauncher
from pipeline.jobs.plan import Command
from pipeline.tracking.provenance import run_git

CONFIG = Path(".dvc/config.local")  # of DVC, for this machine
SCRATCH = Path(".dvc/tmp/sweep")
LOGS = Path(".dvc/tmp/jobs/logs")  # of the driver, in each project
SECONDS_BETWEEN_LOOKS = 0.2


@dataclass(frozen=True)
class Experiment:
    """An experiment in DVC's queue: its name, the commit that holds its files, the commit it starts from."""

    name: str
    commit: str
    baseline: str
    params: dict[str, Any]  # of params.yaml


def sweep(settings: Sequence[str], copies: Sequence[Path], jobs: int, cluster: str = LOCAL) -> None:
    """Queue an experiment for each point of a grid, and run all that is queued, `jobs` experiments at a time.

    A setting is `fusion.lr=1e-4,1e-5`, as `dvc exp run -S` takes it. `copies` are files that experiments need and Git
    ignores. With a `cluster`, an address as `connection.connect` has it, trainings run there. An interruption takes the
    experiments of the grid out of the queue. Raises PipelineError if DVC fails, or at the end if trainings failed.
    """
    earlier = {each.name for each in list_queue()}
    flags = [f"--set-param={setting}" for setting in settings] + [f"--copy-paths={path}" for path in copies]
    queued: list[Experiment] = []  # DVC lists those of the present commit alone, and you may commit meanwhile
    failures: dict[str, str] = {}
    try:
        _run_dvc("exp", "run", "--queue", *flags)
        queued = [each for each in list_queue() if each.name not in earlier]
        if cluster != LOCAL:
            failures = _train(queued, [setting.partition("=")[0] for setting in settings], copies, jobs, cluster)
            _remove(failures)
    except BaseException:
        _remove(each.name for each in queued or list_queue() if each.name not in earlier)
        raise
    if len(failures) < len(queued):
        # the first of DVC's workers that ends may delete the order to end of another, which then holds the output open
        workers = jobs if cluster == LOCAL else 1  # nothing is left but to restore
        shared = {SHARED_GPU: "1"} if workers > 1 else {}  # DVC's workers know of no GPU, and all use the first
        _run_dvc("exp", "run", "--run-all", f"--jobs={workers}", variables=shared)
    if failures:
        others = "the other experiments are saved, these are not: `python -m pipeline best`"
        raise PipelineError("\n".join([*failures.values(), others]))


def list_queue() -> list[Experiment]:
    """Return the experiments of the present commit that wait in DVC's queue."""
    found = []
    for start in json.loads(_run_dvc("exp", "show", "--json", output=subprocess.PIPE)):
        for each in start["experiments"] or []:
            if (each["executor"] or {}).get("state") == "queued":
                first = each["revs"][0]
                params = first["data"]["params"].get("params.yaml", {}).get("data", {})
                found.append(Experiment(first["name"], first["rev"], start["rev"], params))
    return found


def _train(
    experiments: Sequence[Experiment], keys: Sequence[str], copies: Sequence[Path], jobs: int, cluster: str
) -> dict[str, str]:
    """Run the driver on experiments, so that DVC's run cache holds them; return the failures by name."""
    waiting, running, failures = list(experiments), dict[str, Experiment](), dict[str, str]()
    arguments = f"--jobs {max(count_cores() // jobs, 1)} --cluster {quote(cluster)}"
    lines = f"{quote(sys.executable)} -m dvc checkout -q --force --allow-missing && "
    lines += f"{quote(sys.executable)} -m pipeline repro {arguments}"
    tracking = str(Path(os.environ.get("WANDB_DIR", ".")).resolve())  # runs of wandb outlive the copies
    cache = str(Path(_run_dvc("cache", "dir", output=subprocess.PIPE).strip()).resolve())
    SCRATCH.mkdir(parents=True, exist_ok=True)
    with scratch_folder(SCRATCH) as scratch, LocalLauncher() as launcher:
        while waiting or running:
            while waiting and len(running) < jobs:
                each = waiting.pop(0)
                folder, log = scratch / each.name, scratch / f"{each.name}.log"
                _copy_files(each, folder, copies, cache)
                names = {"DVC_EXP_NAME": each.name, "DVC_EXP_BASELINE_REV": each.baseline}
                command = Command(lines, folder.resolve(), os.environ | names | {"WANDB_DIR": tracking}, {}, ())
                launcher.start(each.name, command, log.resolve())
                running[each.name] = each
                print(f"start {each.name}: {_describe(each, keys)}", file=sys.stderr)
            for name, ended in launcher.ended().items():
                each = running.pop(name)
                if ended.code:
                    failures[name] = f"experiment {name}, {_describe(each, keys)}: {_keep_logs(scratch, name)}"
                print(failures.get(name, f"end {name}, {len(waiting) + len(running)} left"), file=sys.stderr)
                shutil.rmtree(scratch / name, ignore_errors=True)
            sleep(SECONDS_BETWEEN_LOOKS)
    return failures


def _copy_files(experiment: Experiment, folder: Path, copies: Sequence[Path], cache: str) -> None:
    """Write the files of an experiment into a new folder: a project without Git, whose DVC has the folder `cache`."""
    archive = run_git("archive", "--format=tar", experiment.commit)
    if archive is None:
        raise PipelineError(f"experiment {experiment.name}: Git finds no commit {experiment.commit}; run it again")
    with tarfile.open(fileobj=io.BytesIO(archive)) as files:
        files.extractall(folder, filter="data")
    shutil.rmtree(folder / ".dvc/tmp", ignore_errors=True)  # of DVC's queue
    config = RawConfigParser()
    config.read(CONFIG, encoding="utf-8")
    config.read_dict({"core": {"no_scm": "true"}, "cache": {"dir": cache}})
    with (folder / CONFIG).open("w", encoding="utf-8") as file:
        config.write(file)
    for path in copies:
        copy = shutil.copytree if path.is_dir() else shutil.copy2
        copy(path, folder / path)


def _describe(experiment: Experiment, keys: Iterable[str]) -> str:
    """Return the values of an experiment at some keys of params.yaml."""
    values = []
    for key in keys:
        value: Any = experiment.params
        for name in key.lstrip("+~").removeprefix("params.yaml:").split("."):
            value = value.get(name) if isinstance(value, dict) else None
        values.append(f"{key}={value}")
    return printable(", ".join(values))


def _keep_logs(scratch: Path, name: str) -> str:
    """Move the logs of a failed driver into this project, and return its error, which names them."""
    logs = LOGS / name
    shutil.rmtree(logs, ignore_errors=True)
    logs.parent.mkdir(parents=True, exist_ok=True)
    if (scratch / name / LOGS).exists():
        shutil.move(scratch / name / LOGS, logs)
    text = "\n" + (scratch / f"{name}.log").read_text(encoding="utf-8", errors="replace")
    _, found, error = text.rpartition("\nerror: ")
    return (error if found else "\n".join(text.splitlines()[-LINES_OF_A_LOG:])).strip().replace(str(LOGS), str(logs))


def _remove(names: Iterable[str]) -> None:
    """Take experiments out of DVC's queue."""
    if names := list(names):
        _run_dvc("queue", "remove", "-q", *names)


def _run_dvc(*arguments: str, output: int | None = None, variables: dict[str, str] | None = None) -> str:
    """Run a command of DVC with variables set, and return its output if that is a pipe; raises PipelineError."""
    command, environment = [sys.executable, "-m", "dvc", *arguments], os.environ | (variables or {})
    done = subprocess.run(command, env=environment, stdout=output, text=True)
    if done.returncode:
        raise PipelineError(f"`dvc {' '.join(arguments)}` gave exit code {done.returncode}; its error is above")
    return done.stdout or ""

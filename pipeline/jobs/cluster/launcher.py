"""Commands of stages as tasks on a cluster of Ray: inputs go out once a node, outputs come back and are verified."""

import platform
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from time import monotonic
from types import TracebackType
from typing import Any

import yaml

from pipeline.core.errors import PipelineError
from pipeline.core.files import atomic, atomic_folder, write_json
from pipeline.core.slots import SHARED_GPU, SLOTS
from pipeline.jobs.cluster.code import copy_code, digest_code, is_code
from pipeline.jobs.cluster.connection import connect, explain, find_host
from pipeline.jobs.cluster.node import Input, Job, Result, run_job
from pipeline.jobs.cluster.numerics import read_numerics
from pipeline.jobs.launch import Ended
from pipeline.jobs.plan import Command, Plan

BYTES_OF_A_PART = 2**23  # of a file: a store of objects holds few at a time
RETRIES = 3  # on other nodes, of a stage whose node or process was lost; never of a stage that failed
SECONDS_BETWEEN_COUNTS = 2
SECONDS_WITHOUT_NODES = 60  # a cluster may replace a lost node
# of the driver's environment; secrets stay here, paths mean nothing there
VARIABLES = ("DVC_STAGE", "DVC_EXP_NAME", "DVC_EXP_BASELINE_REV", "WANDB_MODE", "WANDB_PROJECT", "DEVICE")


@dataclass(frozen=True)
class Claim:
    """Cores of the cluster, or a GPU or a part of one, that a stage holds until the claim is closed."""

    size: int
    close: Callable[[], object]


@dataclass(frozen=True)
class _Task:
    """A stage that is on the cluster."""

    name: str
    command: Command
    log: Path


class RayLauncher:
    """Run trainings on the nodes of a cluster, as a context that leaves none of them running."""

    def __init__(self, address: str, plan: Plan, per_gpu: int = 1) -> None:
        """Take an address as `connection.connect` has it; `per_gpu` trainings share a GPU."""
        self._address, self._plan, self._root = address, plan, Path(plan.repo.root_dir)
        self._per_gpu = per_gpu
        self._tasks: dict[Any, _Task] = {}  # by the reference to its result
        self._claims: dict[str, Claim] = {}  # by the stage's name
        self._inputs: dict[str, Input] = {}  # by DVC's hash
        self._nodes: list[int] = []  # cores, or places on GPUs, of each node that is alive
        self._counted = self._seen = 0.0  # when the nodes were counted, when there was one

    def __enter__(self) -> "RayLauncher":
        params = self._root / "params.yaml"
        content = yaml.safe_load(params.read_text(encoding="utf-8")) if params.exists() else None
        self._precision = str((content or {}).get("precision", "auto"))
        code = self._plan.folder / "code"
        copy_code(self._root, code)
        self._code = digest_code(code)
        self._numerics = read_numerics(self._precision)
        connect(self._address, code)
        if not self._count():
            self.__exit__(None, None, None)
            kind = "GPU, as this machine has one" if self._numerics.gpu else "core"
            raise PipelineError(
                f"CLUSTER={self._address}: found no node with a {kind}; expected one that trains; add it: "
                "`ray start --address=HOST:6379`"
            )
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """End all that runs."""
        import ray

        for reference in self._tasks:
            with suppress(Exception):  # of a cluster that is gone
                ray.cancel(reference)
        ray.shutdown()

    def count_trainings(self) -> int:
        """Return how many trainings the cluster may compute at a time."""
        return sum(self._count())

    def claim(self, name: str, seeds: int, waiting: int) -> Claim | None:
        """Return a claim for a stage of `seeds` on a part of the free cores, as `waiting` stages share them, or None.

        A stage gets one core at least and one a seed at most, all of one node; on GPUs it gets one place.
        """
        claimed = sum(claim.size for claim in self._claims.values())
        size = share_of(self._count(), claimed, 1 if self._numerics.gpu else seeds, waiting)
        if not size:
            return None
        self._claims[name] = Claim(size, lambda: self._claims.pop(name))
        return self._claims[name]

    def start(self, name: str, command: Command, log: Path) -> None:
        """Start a command with the cores, or on the GPU, of its claim; its output is in the file `log` at its end."""
        import ray
        from ray.exceptions import RayError

        if digest_code(self._root) != self._code:
            raise PipelineError("code or parameters changed since the run began; the stage did not start; run it again")
        size = self._claims[name].size
        variables = {key: value for key, value in command.environment.items() if key in VARIABLES}
        variables |= {SHARED_GPU: "1"} if self._numerics.gpu and self._per_gpu > 1 else {}
        try:
            job = Job(
                name=name,
                lines=command.lines,
                folder=str(command.folder.relative_to(self._root)),
                variables=variables,
                inputs=[self._put(path, value) for path, value in command.inputs.items() if not is_code(path)],
                outputs=command.outputs,
                cores=size,
                precision=self._precision,
                expected=self._numerics,
            )
            task = ray.remote(run_job).options(
                name=name,
                num_cpus=size,
                num_gpus=self._numerics.gpu / self._per_gpu,
                max_retries=RETRIES,
                retry_exceptions=False,
            )
            self._tasks[task.remote(job)] = _Task(name, command, log)
        except RayError as error:  # of the store of the node that this process is connected to
            host = platform.node() if not self._address.startswith("ray://") else self._address
            raise PipelineError(f"on {host}: {explain(error)}") from None

    def ended(self) -> dict[str, Ended]:
        """Return the commands that have ended since the last call, after moving their outputs into place."""
        import ray

        if not self._tasks:
            return {}
        ready, _ = ray.wait(list(self._tasks), num_returns=len(self._tasks), timeout=0)
        tasks = {reference: self._tasks.pop(reference) for reference in ready}
        ended = {task.name: self._receive(reference, task) for reference, task in tasks.items()}
        if not ended and not self._count() and monotonic() - self._seen > SECONDS_WITHOUT_NODES:
            raise PipelineError(
                f"CLUSTER={self._address}: no node is left to train on; what is done is recorded; "
                "start nodes and run it again"
            )
        return ended

    def _count(self) -> list[int]:
        """Return the cores, or places on GPUs, of each node that is alive, as of the last SECONDS_BETWEEN_COUNTS."""
        import ray

        if monotonic() - self._counted > SECONDS_BETWEEN_COUNTS:
            kind, places = ("GPU", self._per_gpu) if self._numerics.gpu else ("CPU", 1)
            counts = [int(node["Resources"].get(kind, 0)) * places for node in ray.nodes() if node["Alive"]]
            self._nodes, self._counted = [count for count in counts if count], monotonic()
            if self._nodes:
                self._seen = self._counted
        return self._nodes

    def _put(self, path: str, value: str) -> Input:
        """Hand an input to Ray once a run, and return where it goes and what to fetch."""
        if value not in self._inputs:
            files, digest = {}, sha256()
            for name, file in self._plan.files(path).items():
                digest.update(f"{name} {file.stat().st_size} ".encode())
                files[name] = list(_put_parts(file, digest.update))
            self._inputs[value] = Input(path, digest.hexdigest(), files)
        known = self._inputs[value]
        return Input(path, known.key, known.files)

    def _receive(self, reference: Any, task: _Task) -> Ended:
        """Return how a task ended; the outputs of one that ended well are verified and moved into place."""
        import ray
        from ray.exceptions import RayError

        try:
            result: Result = ray.get(reference)
        except RayError as error:
            return Ended(1, 0, find_host(error), explain(error))
        task.log.write_text(result.log, encoding="utf-8")
        if result.problem or result.code:
            return Ended(result.code, result.seconds, result.host, result.problem)
        if problem := find_damage(result, task.command.outputs):
            return Ended(1, 0, result.host, problem)
        try:
            self._place(result, task)
        except (PipelineError, OSError) as error:
            return Ended(1, 0, problem=str(error))
        return Ended(0, result.seconds, result.host)

    def _place(self, result: Result, task: _Task) -> None:
        """Write the outputs and wandb's runs, each whole or not at all, and the record of seconds and manifest."""
        for output in task.command.outputs:
            place(self._root / output, below(result.files, output))
        environment = task.command.environment
        runs = Path(environment.get("WANDB_DIR") or self._root) / "wandb"
        for name in {Path(path).parts[1] for path in result.files if Path(path).parts[0] == "wandb"}:
            place(runs / name, below(result.files, f"wandb/{name}"))
        with (Path(environment[SLOTS]) / "record.jsonl").open("a") as file:
            file.write(result.record)
        write_json(self._plan.folder / "manifests" / f"{task.name.replace('/', '_')}.json", result.manifest)


def share_of(nodes: Sequence[int], claimed: int, seeds: int, waiting: int) -> int:
    """Return how many cores of one node a stage of `seeds` gets if `waiting` stages share what is free; 0 for none."""
    free = sum(nodes) - claimed
    return max(1, min(seeds, max(nodes), free // waiting)) if free > 0 else 0


def find_damage(result: Result, outputs: Sequence[str]) -> str:
    """Return what is wrong with the files of a result by its manifest, or an empty text."""
    expected = result.manifest.get("files", {})
    damaged = [path for path in result.files if sha256(result.files[path]).hexdigest() != expected.get(path)]
    damaged += sorted(expected.keys() - result.files.keys())
    foreign = [path for path in result.files if not _belongs(Path(path), [*outputs, "wandb"])]
    for paths, what in ((damaged, "other bytes than its manifest has"), (foreign, "a file that is no output")):
        if paths:
            return f"{sorted(paths)[0]}: found {what}; nothing of it is recorded; run it again"
    return ""


def below(files: Mapping[str, bytes], path: str) -> dict[str, bytes]:
    """Return the files at or below `path`, by their paths from there: "" or "." for a file."""
    return {
        str(Path(name).relative_to(path)): content for name, content in files.items() if Path(name).is_relative_to(path)
    }


def place(target: Path, files: Mapping[str, bytes]) -> None:
    """Write a file, of the name ".", or a folder of files, whole or not at all; nothing where there are no files."""
    if "." in files:
        with atomic(target) as part:
            part.write_bytes(files["."])
    elif files:
        with atomic_folder(target) as folder:
            for name, content in files.items():
                (folder / name).parent.mkdir(parents=True, exist_ok=True)
                (folder / name).write_bytes(content)


def _belongs(path: Path, outputs: Sequence[str]) -> bool:
    return ".." not in path.parts and any(path.is_relative_to(output) for output in outputs)


def _put_parts(file: Path, update: Callable[[bytes], None]) -> Iterator[Any]:
    """Yield a reference of Ray to each part of a file, and call `update` with the content."""
    import ray

    with file.open("rb") as content:
        while part := content.read(BYTES_OF_A_PART):
            update(part)
            yield ray.put(part)

"""The driver: run the stages that are out of date, several at a time, and record each that ended well in dvc.lock.

Only the driver writes dvc.lock. It runs each stage's own command, and a plain `dvc repro` finds all of it done.
"""

import os
import signal
import sys
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, nullcontext
from itertools import count
from pathlib import Path
from time import monotonic, sleep
from typing import IO, TYPE_CHECKING

from pipeline.core.cores import available_memory, count_cores
from pipeline.core.errors import PipelineError
from pipeline.core.slots import SLOTS, make_slots, try_slot
from pipeline.jobs.cluster.launcher import Claim, RayLauncher
from pipeline.jobs.gpus import Gpus, find_gpus
from pipeline.jobs.launch import Ended, LocalLauncher
from pipeline.jobs.lengths import Length, path_lengths, read_groups, read_lengths, write_lengths
from pipeline.jobs.plan import BusyError, Plan, open_plan, remaining
from pipeline.jobs.progress import Progress

if TYPE_CHECKING:
    from dvc.stage import Stage

# measured with the default parameters: 0.59 GB for a cell of `fusion` and 0.74 GB for `cilp`, with libraries, data and
# one seed; the rest is for stages that hold something of every seed
BYTES_OF_A_TRAINING = 2**30
SECONDS_BETWEEN_LOOKS = 0.05
LOOKS_PER_START = 5  # seeds of a running stage look for a slot more often, so that they come before a new stage
LINES_OF_A_LOG = 10
LOCAL = "local"  # the cluster that is none
OF_MEMORY = ("SIGKILL", "SIGSEGV", "SIGBUS", "SIGABRT")  # of the system, and of libraries that do not look for an error


def repro(
    targets: Sequence[str] = (),
    jobs: int | None = None,
    cluster: str = LOCAL,
    gpus: str | None = None,
    per_gpu: int = 1,
) -> str:
    """Do what `dvc repro TARGETS` does, with `jobs` trainings at a time, and return one line that sums it up.

    By default as many trainings run at a time as there are cores and memory for. With a `cluster`, an address as
    `connection.connect` has it, the trainings run there, and the other stages here. On GPUs, those of `gpus` as
    `find_gpus` has it, `per_gpu` stages run on each. Raises PipelineError if a stage failed, after the end of all
    stages that do not depend on it; if something is out of date at the end; and if another process of DVC is at work.
    """
    start = monotonic()
    with open_plan(targets) as plan:
        run = Run(plan)
        run.settle()
        if run.ready:
            slots = count_trainings(jobs)
            if slots > 1 or gpus is not None or per_gpu > 1:
                run.gpus = Gpus(find_gpus(gpus, per_gpu), per_gpu)
            farm = nullcontext() if cluster == LOCAL else RayLauncher(cluster, plan, per_gpu)
            with farm as nodes, LocalLauncher() as launcher:
                at_a_time = nodes.count_trainings() if nodes else run.gpus.bound(slots)
                with Progress(at_a_time, run.seconds()) as progress:
                    run.work(launcher, progress, slots, nodes)
    summary = f"{run.summary()}; {(monotonic() - start) / 60:.1f} minutes"
    if run.failures:
        raise PipelineError("\n".join([*run.failures.values(), summary]))
    if run.counts["run"] + run.counts["restored"] and (names := remaining(targets)):
        raise PipelineError(f"out of date: {', '.join(names)}; something changed after they ran; run it again")
    return summary


def count_trainings(jobs: int | None) -> int:
    """Return how many trainings may run at a time: `jobs`, by default the cores, and no more than memory holds."""
    allowed, fitting = jobs or count_cores(), max(available_memory() // BYTES_OF_A_TRAINING, 1)
    if fitting < allowed:
        print(f"the available memory is enough for {fitting} trainings at a time, not for {allowed}", file=sys.stderr)
    return min(allowed, fitting)


class Run:
    """The state of one run of a plan: which stages wait, are ready, run, are done, have failed."""

    def __init__(self, plan: Plan) -> None:
        self.plan = plan
        self.lengths = read_lengths(plan.folder / "lengths.json")
        self.waiting = list(plan.stages)  # for their ancestors
        self.ready: list[Stage] = []
        self.seeds: dict[Stage, int] = {}  # of the stages that have been ready while there was a cluster
        self.running: dict[str, tuple[Stage, IO[str] | Claim]] = {}  # with the slot or claim that is held for each
        self.gpus = Gpus([], 1)
        self.done: set[Stage] = set()
        self.failures: dict[str, str] = {}
        self.counts: Counter[str] = Counter()

    def settle(self) -> None:
        """Settle every stage whose ancestors are done: it is unchanged, or restored, or ready to run."""
        for stage in list(self.waiting):
            if not self.plan.upstream[stage] <= self.done:
                continue
            self.waiting.remove(stage)
            with self._failure_of(stage):
                how = self.plan.settle(stage)
                if how is None:
                    self.ready.append(stage)
                else:
                    self.done.add(stage)
                    self.counts[how] += bool(stage.cmd)  # pinned data is no stage to the user

    def work(self, launcher: LocalLauncher, progress: Progress, slots: int, nodes: RayLauncher | None = None) -> None:
        """Run the stages that are ready, and those that become ready, until none is left: trainings on `nodes`."""
        make_slots(self.plan.folder / "slots", slots)
        at_a_time = self.gpus.bound(slots)
        for look in count():
            if look % LOOKS_PER_START == 0:
                self._start(launcher, progress, at_a_time, nodes)
            if ended := launcher.ended() | (nodes.ended() if nodes else {}):
                for name, how in ended.items():
                    self._finish(name, how, progress)
                self.settle()
            if not self.ready and not self.running:
                return
            progress.show(len(self.done), len(self.plan.stages), self._left())
            sleep(SECONDS_BETWEEN_LOOKS)

    def seconds(self) -> dict[str, float]:
        """Return the processor seconds of each stage when it last ran here, by name."""
        return {name: length.seconds for name, length in self.lengths.items()}

    def summary(self) -> str:
        """Return one line with the numbers of stages."""
        counts = [f"{self.counts[how]} {how}" for how in ("run", "restored", "unchanged")]
        counts += [f"{len(self.failures)} failed"] if self.failures else []
        counts += [f"{len(self.waiting)} not started"] if self.waiting else []
        return f"stages: {', '.join(counts)}"

    def _start(self, launcher: LocalLauncher, progress: Progress, at_a_time: int, nodes: RayLauncher | None) -> None:
        """Start ready stages while there is room for them, first the one that begins the longest path."""
        seconds = self.seconds()
        known = {stage: seconds[stage.addressing] for stage in self.plan.stages if stage.addressing in seconds}
        longest = path_lengths(self.plan.stages, self.plan.upstream, known)
        self.ready.sort(key=lambda stage: -longest[stage])  # a stable sort: of equals the first stage of dvc.yaml
        if nodes:
            self.seeds |= {stage: self.plan.count_seeds(stage) for stage in self.ready if stage not in self.seeds}
        trainings = [stage for stage in self.ready if self.seeds.get(stage)]
        others = [stage for stage in self.ready if not self.seeds.get(stage)]
        while nodes and trainings:
            stage = trainings.pop(0)
            claim = nodes.claim(stage.addressing, self.seeds[stage], 1 + len(trainings))
            if not claim:
                break
            self._begin(stage, claim, nodes, progress)
        here = sum(not isinstance(held, Claim) for _, held in self.running.values())
        for stage in others[: max(at_a_time - here, 0)]:
            if not (slot := try_slot(self.plan.folder / "slots")):
                break
            self._begin(stage, slot, launcher, progress)

    def _begin(
        self, stage: "Stage", held: IO[str] | Claim, launcher: LocalLauncher | RayLauncher, progress: Progress
    ) -> None:
        """Start a stage, for which a slot or a claim is held."""
        self.ready.remove(stage)
        name = stage.addressing
        self.running[name] = stage, held
        variables = {SLOTS: str(self.plan.folder / "slots")}
        variables |= {} if isinstance(held, Claim) else self.gpus.take(name)
        with self._failure_of(stage):
            launcher.start(name, self.plan.begin(stage, variables), self._log(name))
            progress.started(name)
        if name in self.failures:
            self._end(name, progress)

    def _finish(self, name: str, ended: Ended, progress: Progress) -> None:
        """Record a stage that ended well, and the length of its run; show how it ended."""
        stage, _ = self.running[name]
        with self._failure_of(stage):
            if ended.problem or ended.code:
                where = f"on {ended.host}: " if ended.host else ""
                raise PipelineError(where + (ended.problem or _describe(ended.code, self._log(name))))
            self.plan.finish(stage)
            self.done.add(stage)
            self.counts["run"] += 1
            self.lengths[name] = Length(ended.seconds, read_groups(self.plan.folder / "slots" / "record.jsonl", name))
            write_lengths(self.plan.folder / "lengths.json", self.lengths)
        self._end(name, progress)

    def _end(self, name: str, progress: Progress) -> None:
        """Free the slot and the GPU, or the claim, of a stage, and show how it ended."""
        _, held = self.running.pop(name)
        held.close()
        self.gpus.free(name)
        progress.ended(name, self.failures.get(name), self._left())

    @contextmanager
    def _failure_of(self, stage: "Stage") -> Iterator[None]:
        """Note an error of a stage, so that other stages go on."""
        try:
            yield
        except BusyError:  # of no single stage
            raise
        except PipelineError as error:
            self.failures[stage.addressing] = f"stage {stage.addressing}: {error}"

    def _log(self, name: str) -> Path:
        """Return the path of a stage's log, from the working directory."""
        folder = self.plan.folder / "logs"
        folder.mkdir(parents=True, exist_ok=True)
        return Path(os.path.relpath(folder / f"{name.replace('/', '_')}.log"))

    def _left(self) -> list[str]:
        """Return the names of the stages that wait, are ready or run."""
        return [stage.addressing for stage in (*self.waiting, *self.ready)] + list(self.running)


def _describe(code: int, log: Path) -> str:
    """Return how a command failed: its exit code or the signal that ended it, its log, the end of the log."""
    # -9 is a shell that was ended by signal 9; 137 is how a shell says that its command was
    number = code - 128 if code > 128 else -code
    known = {each.value: each.name for each in signal.Signals}
    how = f"ended by {known[number]}" if number in known else f"exit code {code}"
    how += ", perhaps for want of memory" if known.get(number) in OF_MEMORY else ""
    lines = log.read_text(encoding="utf-8", errors="replace").splitlines()[-LINES_OF_A_LOG:]
    if not lines:
        return f"{how}; its log {log} is empty: it printed nothing, or the disk is full"
    return "\n".join([f"{how}; its whole output is in {log}, which ends with:", *(f"  {line}" for line in lines)])

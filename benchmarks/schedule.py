"""Simulate how long the stages take on other numbers of cores, from the lengths that the last run here recorded.

    python -m benchmarks.schedule [--slots 2 --slots 8]

The simulated run does what the driver does: a stage first computes on one slot (imports, data, figures), then its
groups of seeds follow; seeds of a running stage come before a new stage; and of new stages the one that begins the
longest path comes first. The simulation knows of no memory bandwidth that cores share, and of no time of the driver.
"""

import heapq
from collections.abc import Mapping, Sequence
from itertools import count
from typing import Annotated

import typer

from pipeline.core.errors import PipelineError, run_command
from pipeline.jobs.lengths import Length, path_lengths, read_lengths
from pipeline.jobs.plan import open_plan

SLOTS = [1, 2, 4, 8, 16, 64]


class Schedule:
    """A simulated run on a number of slots."""

    def __init__(
        self, order: Sequence[str], upstream: Mapping[str, set[str]], lengths: Mapping[str, Length], slots: int
    ) -> None:
        """Take the names of the stages, ancestors first; for each the names of those it needs, and its length."""
        longest = path_lengths(order, upstream, {name: length.seconds for name, length in lengths.items()})
        self.upstream, self.lengths, self.free = upstream, lengths, slots
        self.now = 0.0
        self.waiting = sorted(order, key=lambda name: -longest[name])
        self.done: set[str] = set()
        self.groups = {name: [list(group) for group in lengths[name].groups] for name in order}  # not yet begun
        self.threads: dict[str, int] = {}  # of the stages that run
        self.ends: list[tuple[float, int, str]] = []  # of threads: when, a running number, of which stage
        self.numbers = count()

    def run(self) -> float:
        """Return the seconds from the start of the first stage to the end of the last."""
        self._fill()
        while self.ends:
            self.now, _, name = heapq.heappop(self.ends)
            self._end_thread(name)
            self._fill()
        return self.now

    def _fill(self) -> None:
        """Give free slots to seeds of the stages that run, then to new stages."""
        for name in self.threads:
            while self.groups[name] and self.groups[name][0] and (self.free or not self.threads[name]):
                self._begin_thread(name, self.groups[name][0].pop(0))
        for name in list(self.waiting):
            if self.free and self.upstream[name] <= self.done:
                self.waiting.remove(name)
                self.free -= 1
                self.threads[name] = 0
                self.groups[name].insert(0, [])  # ends with the thread that follows
                self._begin_thread(name, self.lengths[name].seconds - sum(map(sum, self.lengths[name].groups)))

    def _begin_thread(self, name: str, seconds: float) -> None:
        self.free -= self.threads[name] > 0  # the first thread has the slot of its stage
        self.threads[name] += 1
        heapq.heappush(self.ends, (self.now + max(seconds, 0), next(self.numbers), name))

    def _end_thread(self, name: str) -> None:
        self.threads[name] -= 1
        self.free += self.threads[name] > 0
        if self.threads[name] or self.groups[name][0]:
            return
        self.groups[name].pop(0)  # all of a group have ended: the next one may begin
        if not self.groups[name]:
            del self.threads[name]
            self.free += 1
            self.done.add(name)


def main(
    slots: Annotated[list[int] | None, typer.Option(min=1, help="Trainings at a time; may be given often.")] = None,
) -> None:
    """Print the simulated minutes of a whole run for numbers of slots."""
    with open_plan([]) as plan:
        stages = [stage for stage in plan.stages if stage.cmd]
        upstream = {
            stage.addressing: {each.addressing for each in plan.upstream[stage] if each.cmd} for stage in stages
        }
        lengths = read_lengths(plan.folder / "lengths.json")
    if missing := [name for name in upstream if name not in lengths]:
        raise PipelineError(f"no length of {', '.join(missing)} is recorded; run `make repro` on fresh runs/ first")
    order, seconds = list(upstream), {name: lengths[name].seconds for name in upstream}
    longest = max(path_lengths(order, upstream, seconds).values())
    one = Schedule(order, upstream, lengths, 1).run()
    print(f"{len(order)} stages, {one:.0f} processor seconds, {longest:.0f} of them in the longest chain of stages")
    print("slots\tminutes\ttimes as fast as one")
    for number in slots or SLOTS:
        minutes = Schedule(order, upstream, lengths, number).run() / 60
        print(f"{number}\t{minutes:.2f}\t{one / 60 / minutes:.2f}")


if __name__ == "__main__":
    run_command(main)

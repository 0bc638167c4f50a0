"""Rows of training: steps, trainings until a target, and the whole programme, beside the course's recipe."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from benchmarks.course import CONSTANT, COSINE, PARAMETERS
from benchmarks.results import Row
from benchmarks.sides import COURSE, Call, Sides, native_precisions
from benchmarks.workloads import (
    DEFAULT,
    Net,
    Outcome,
    our_epochs,
    read_params,
    time_course_step,
    time_our_step,
    train_course,
    train_ours,
)
from pipeline.tools.simulator.default_dataset import SCENES

PUBLISHED, WIDE = "published", "course"  # presets
MAXPOOL = Net("concat", PUBLISHED, "concat")
STRIDED = Net("concat", PUBLISHED, "concat", "strided")
CILP = Net("cilp", DEFAULT, "")
STEP_NETS = [
    MAXPOOL,
    STRIDED,
    Net("late", PUBLISHED, "late"),
    Net("add", PUBLISHED, "add"),
    Net("hadamard", PUBLISHED, "hadamard"),
    Net("concat_wide", WIDE, "concat"),
]
PROGRAMME = [
    *(
        Net(name, DEFAULT, name, way)
        for way in ("maxpool", "strided")
        for name in ("late", "concat", "add", "hadamard")
    ),
    Net("rgb", DEFAULT, "rgb"),
    Net("lidar", DEFAULT, "lidar"),
    Net("lidar_classifier", DEFAULT, ""),
    CILP,
]
COURSE_EPOCHS = {"cilp": 40}  # of the public solutions, which train all other nets for 20 epochs


@dataclass(frozen=True)
class Sizes:
    """How much is measured."""

    scenes: int
    steps: int  # of the slower nets; a strided one is timed over four times as many
    rounds: int
    seeds: int
    cap: int  # epochs of the course's recipe until a fusion net counts as not arriving
    cilp_seeds: int
    cilp_cap: int
    programme_rounds: int
    folder: Path  # of the prepared arrays


def title(net: Net) -> str:
    """Return the name of a net in the table, with its parameters."""
    return f"{net.course}, {net.downsample}, {PARAMETERS[net.course]:,} parameters"


def _steps(net: Net, sizes: Sizes) -> int:
    return sizes.steps * (4 if net.downsample == "strided" else 1)


def measure_steps(sides: Sides, sizes: Sizes) -> list[Row]:
    """Measure a step of equal nets: fit() of this project in each precision beside the course's recipe."""
    rows = []
    for net in STEP_NETS:
        arguments = (sizes.folder, net, _steps(net, sizes))
        calls = {COURSE: time_course_step} | {name: time_our_step for name in native_precisions()}
        times = _in_turn(
            {side: partial(sides.run, side, call, *arguments) for side, call in calls.items()}, sizes.rounds
        )
        rows += [
            Row(title(net), f"this project, {name}", "ms a sample", times[name], "the course's step", times[COURSE])
            for name in native_precisions()
        ]
    return rows


def _in_turn(calls: dict[str, Callable[[], float]], rounds: int) -> dict[str, list[float]]:
    """Return the results of every call, in rounds of all in turn."""
    results: dict[str, list[float]] = {name: [] for name in calls}
    for _ in range(rounds):
        for name, call in calls.items():
            results[name].append(call())
    return results


def measure_accuracy(sides: Sides, sizes: Sizes) -> list[Row]:
    """Measure the way to a validation accuracy, of equal nets."""
    rows = []
    for net, target in ((MAXPOOL, 0.99), (STRIDED, 0.95)):
        rows += _race(sides, sizes, net, target, sizes.seeds, sizes.cap, f"{title(net)}: to {target} accuracy")
    return rows


def measure_retrieval(sides: Sides, sizes: Sizes) -> list[Row]:
    """Measure the way to retrieval top-1 of 0.5 over the validation split: the default CILP beside the course's."""
    return _race(sides, sizes, CILP, 0.5, sizes.cilp_seeds, sizes.cilp_cap, "CILP: to 0.5 top-1 over the split")


def _race(sides: Sides, sizes: Sizes, net: Net, target: float, seeds: int, cap: int, what: str) -> list[Row]:
    """Train every seed on every side, in turn, and compare what each spent until `target`."""
    recipes, precisions = [CONSTANT, COSINE], native_precisions()
    calls: list[Call] = []
    for seed in range(seeds):
        calls += [(COURSE, train_course, (sizes.folder, net, recipe, cap, target, seed)) for recipe in recipes]
        calls += [(name, train_ours, (sizes.folder, net, target, seed)) for name in precisions]
    outcomes = sides.run_all(calls)
    count = len(recipes) + len(precisions)
    by_side = [outcomes[place::count] for place in range(count)]
    return [
        _race_row(what, f"this project, {name}", own, f"the course's recipe, {recipe.name}", base)
        for name, own in zip(precisions, by_side[len(recipes) :], strict=True)
        for recipe, base in zip(recipes, by_side, strict=False)
    ]


def _race_row(what: str, variant: str, own: Sequence[Outcome], baseline: str, base: Sequence[Outcome]) -> Row:
    seconds = [[each.seconds for each in outcomes] for outcomes in (own, base)]
    missed = [sum(not each.reached for each in outcomes) for outcomes in (own, base)]
    texts = [f"{name}; {_arrival(outcomes)}" for name, outcomes in ((variant, own), (baseline, base))]
    return Row(what, texts[0], "CPU seconds", seconds[0], texts[1], seconds[1], *missed)


def _arrival(outcomes: Sequence[Outcome]) -> str:
    """Return the epochs that each training took, in the order of the seeds, and the worst value of a failure."""
    failed = [each.best for each in outcomes if not each.reached]
    epochs = ", ".join(str(each.epochs) for each in outcomes)
    return f"epochs {epochs}" + (f"; lowest best value {min(failed):.3f}" if failed else "")


def measure_programme(sides: Sides, sizes: Sizes) -> list[Row]:
    """Add up the course's programme for one seed: a measured step, times the steps of an epoch, times the epochs."""
    precisions = native_precisions()
    samples = 2 * round(SCENES * read_params(DEFAULT).prepare.fractions.train)
    totals: dict[str, list[float]] = {side: [] for side in (COURSE, *precisions)}
    for _ in range(sizes.programme_rounds):
        for side in totals:
            totals[side].append(sum(_cost(sides, sizes, side, net) * samples for net in PROGRAMME) / 1000)
    what = f"{len(PROGRAMME)} nets of the programme, one seed of {samples:,} pairs"
    return [
        Row(what, f"this project's default, {name}", "CPU seconds", totals[name], "the course's nets", totals[COURSE])
        for name in precisions
    ]


def _cost(sides: Sides, sizes: Sizes, side: str, net: Net) -> float:
    """Return milliseconds a sample of the training set that the whole training of a net costs."""
    work: Any = time_course_step if side == COURSE else time_our_step
    epochs = COURSE_EPOCHS.get(net.course, 20) if side == COURSE else our_epochs(net)
    return epochs * sides.run(side, work, sizes.folder, net, _steps(net, sizes))

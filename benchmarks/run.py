"""Measure this project beside the course's recipe: `make bench`, or a part of it.

python -m benchmarks.run [--quick] [--only steps] [--jobs 2]

Data are simulated in a temporary folder. Variants take turns. A group is written as soon as it is done.
"""

import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Annotated

import typer

from benchmarks.commands import measure_inference, measure_prepare, measure_starts
from benchmarks.results import Row, describe_run, render_table, save_group, write_page
from benchmarks.sides import Sides, native_precisions, open_sides
from benchmarks.training import Sizes, measure_accuracy, measure_programme, measure_retrieval, measure_steps
from benchmarks.workloads import make_data
from pipeline.tools.simulator.default_dataset import SCENES

HERE = Path(__file__).parent
NOTES = {
    "steps": "One step of equal nets, on one thread: data, forward, backward, Adam. Ratios are of rounds in turn.",
    "accuracy": "Training until a validation accuracy, of equal nets. The course's schedules are those of 20 epochs.",
    "retrieval": "The default CILP against the course's nets and loss, which has no temperature. The rows have the "
    "epochs for which it was followed, of 20.",
    "programme": "The steps above of the default's own nets, multiplied by the epochs of the default parameters, and "
    "the course's by 20 epochs a net and 40 of CILP: an estimate. Projector and classifiers are left out on "
    "both sides, and so is what the default trains beyond the course.",
    "prepare": "Reading raw folders, in seconds of the wall clock; the project's side uses all cores.",
    "start": "Commands that compute nothing. `dvc repro` is missing where it had something to do.",
    "inference": "Raw pairs to logits on one thread, in milliseconds of the wall clock.",
}
Measure = Callable[[], list[Row]]


def make_sizes(quick: bool, arrays: Path) -> Sizes:
    """Return how much is measured; `quick` is enough to see that everything runs."""
    if quick:
        return Sizes(100, 1, 3, 1, 1, 1, 1, 1, arrays)
    return Sizes(SCENES, 6, 5, 5, 20, 3, 8, 3, arrays)


def plan(home: Path, sides: Sides, sizes: Sizes) -> dict[str, Measure]:
    """Return the groups by name, in the order in which they are measured."""
    rounds = max(3, sizes.rounds)
    return {
        "steps": lambda: measure_steps(sides, sizes),
        "prepare": lambda: measure_prepare(home / "raw", home / "out", rounds),
        "start": lambda: measure_starts(rounds),
        "inference": lambda: measure_inference(home, rounds),
        "programme": lambda: measure_programme(sides, sizes),
        "retrieval": lambda: measure_retrieval(sides, sizes),
        "accuracy": lambda: measure_accuracy(sides, sizes),
    }


def main(
    quick: Annotated[bool, typer.Option("--quick", help="Three minutes; results go to benchmarks/quick.json.")] = False,
    only: Annotated[list[str] | None, typer.Option(help=f"Groups: {', '.join(NOTES)}. Default: all.")] = None,
    jobs: Annotated[int, typer.Option(min=1, help="Trainings at a time; steps are measured alone.")] = 1,
) -> None:
    if unknown := set(only or []) - set(NOTES):
        raise typer.BadParameter(f"found {', '.join(sorted(unknown))}, expected some of {', '.join(NOTES)}")
    out, about = HERE / ("quick.json" if quick else "results.json"), describe_run(native_precisions()[-1])
    with tempfile.TemporaryDirectory() as folder, open_sides(jobs) as sides:
        home = Path(folder)
        sizes = make_sizes(quick, home / "arrays")
        make_data(home, sizes.scenes)
        for name, measure in plan(home, sides, sizes).items():
            if only and name not in only:
                continue
            rows = measure()
            groups = save_group(out, name, NOTES[name], about, rows)
            print(f"\n{name}: {NOTES[name]}\n\n{render_table(rows)}", flush=True)
            if not quick:
                write_page(HERE / "README.md", groups)


if __name__ == "__main__":
    typer.run(main)

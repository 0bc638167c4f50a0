"""Kill and corrupt runs of a tiny project at random, run them again, and compare every byte: `make chaos`.

A trial has a name, such as `kill-17`. Seed and name draw what happens in it: `make chaos SEED=3 ONLY=kill-17` repeats
it, but for the instant at which a kill falls.
"""

import shutil
from collections import Counter
from pathlib import Path
from random import Random
from time import monotonic
from typing import Annotated

import typer
import yaml

from pipeline.core.errors import PipelineError, run_command
from scripts.corruptions import corrupt
from scripts.kills import kill
from scripts.projects import apply_preset, make_project, run, use_times_of, write_state_at_every_epoch

FOLDER = Path(".chaos")
BASE = FOLDER / "base"
SCENES, EPOCHS = 40, 3
TRIALS = {"kill": kill, "corruption": corrupt}
BAD = ("wrong", "lost")


def main(
    seed: Annotated[int, typer.Option(help="Of all trials.")] = 0,
    kills: Annotated[int, typer.Option(help="Number of trials with a kill.")] = 50,
    corruptions: Annotated[int, typer.Option(help="Number of trials with a corrupted file.")] = 30,
    only: Annotated[str, typer.Option(help="Name of the one trial to run.")] = "",
) -> None:
    """Run the trials, print what came out, and raise PipelineError if a result was wrong or a project was lost."""
    shutil.rmtree(FOLDER, ignore_errors=True)
    seconds = _make_base()
    print(f"seed {seed}; the whole project takes {seconds:.0f} seconds", flush=True)
    names = [f"kill-{number}" for number in range(kills)] + [f"corruption-{number}" for number in range(corruptions)]
    outcomes: dict[str, str] = {}
    for name in [only] if only else names:
        folder, random = FOLDER / name, Random(f"{seed} {name}")
        shutil.copytree(BASE, folder, symlinks=True)
        outcomes[name], note = TRIALS[name.split("-")[0]](folder, BASE, random, seconds)
        print(f"{name}: {outcomes[name]}: {note}", flush=True)
        if outcomes[name] not in BAD:
            shutil.rmtree(folder)
    for kind in TRIALS:
        counts = Counter(outcome for name, outcome in outcomes.items() if name.startswith(kind))
        print(f"{kind}: {counts.total()} trials: {', '.join(f'{n} {what}' for what, n in counts.most_common())}")
    if bad := [name for name, outcome in outcomes.items() if outcome in BAD]:
        raise PipelineError(
            f"{FOLDER}: found {len(bad)} trials that ended wrong, expected none; their folders are kept; "
            f"to repeat the first: make chaos SEED={seed} ONLY={bad[0]}"
        )
    shutil.rmtree(FOLDER)


def _make_base() -> float:
    """Run a tiny project with states at every epoch, and return the seconds that its pipeline took."""
    make_project(BASE)
    apply_preset(BASE, "smoke")
    params = yaml.safe_load((BASE / "params.yaml").read_text())
    params["matrix"]["late_frozen-maxpool"] = {"fusion": "late_frozen", "downsample": "maxpool"}
    for section in (*params["matrix"].values(), params["lidar"], params["cilp"], params["project"]):
        section["epochs"] = EPOCHS
    for section in (*params["classify"].values(), params["labels"], params["curve"]):
        section["epochs"] = EPOCHS
    (BASE / "params.yaml").write_text(yaml.safe_dump(params, sort_keys=False))
    write_state_at_every_epoch(BASE)
    run(BASE, f"python -m pipeline simulate data --scenes {SCENES} && dvc add -q data")
    start = monotonic()
    run(BASE, "python -m pipeline repro")
    seconds = monotonic() - start
    use_times_of(BASE, BASE)
    run(BASE, "dvc commit -f -q")  # the report that was written anew is that of the lock
    return seconds


if __name__ == "__main__":
    run_command(main)

"""Kill a training of CILP with the default parameters at every epoch, let it go on, and compare every byte.

    python -m scripts.resume --scenes 1000

It also measures what states cost: the processor time to write one, as a share of the time between two of them.
"""

import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path
from time import process_time, sleep
from typing import Annotated

import torch
import typer
import yaml

from pipeline.core.errors import PipelineError, run_command
from pipeline.training.states import SECONDS_BETWEEN_STATES, StateFile
from scripts.projects import ENVIRONMENT, make_project, run, write_state_at_every_epoch

FOLDER = Path(".chaos/resume")
STAGE = [sys.executable, "-m", "stages.cilp"]
STATE = Path(".resume/cilp/seed0.pt")
RESULTS = ("models/seed0.safetensors", "history.tsv", "metrics.json", "similarity.npy")
WRITES = 20


def main(scenes: Annotated[int, typer.Option(help="Simulated scenes.")] = 1000) -> None:
    """Train undisturbed, then with a kill at every epoch; raises PipelineError if a byte differs."""
    shutil.rmtree(FOLDER, ignore_errors=True)
    make_project(FOLDER)
    write_state_at_every_epoch(FOLDER)
    params = yaml.safe_load((FOLDER / "params.yaml").read_text())
    params["seeds"] = [0]
    (FOLDER / "params.yaml").write_text(yaml.safe_dump(params, sort_keys=False))
    run(FOLDER, f"python -m pipeline simulate data --scenes {scenes} && python -m stages.prepare")
    run(FOLDER, "python -m stages.cilp")
    undisturbed = _results()
    shutil.rmtree(FOLDER / "runs/cilp")
    epochs, kills = params["cilp"]["epochs"], 0
    while kills < epochs and _kill_at_next_state():  # the last state is that of the end, and each later run writes it
        kills += 1
    run(FOLDER, "python -m stages.cilp")
    print(f"{epochs} epochs, {kills} kills", flush=True)
    if different := [name for name, content in _results().items() if content != undisturbed[name]]:
        raise PipelineError(
            f"{FOLDER}/runs/cilp: found other bytes than without a kill in {', '.join(different)}, expected equal ones"
        )
    if kills < epochs:
        raise PipelineError(f"{FOLDER}: found {kills} kills, expected one at every epoch; run it on a calmer machine")
    print(f"the same bytes in {', '.join(RESULTS)}")
    shutil.rmtree(FOLDER)


def _results() -> dict[str, bytes]:
    return {name: (FOLDER / "runs/cilp" / name).read_bytes() for name in RESULTS}


def _kill_at_next_state() -> bool:
    """Go on with the training until it writes a state, and kill it; return False if it ended instead."""
    before = _stamp()
    process = subprocess.Popen(STAGE, cwd=FOLDER, env=ENVIRONMENT, stderr=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
    while process.poll() is None:
        if _stamp() not in (before, None):
            os.kill(process.pid, signal.SIGKILL)
            process.wait()
            if before is None:
                _measure_states()
            return True
        sleep(0.002)
    if process.returncode:
        raise PipelineError(f"{FOLDER}: `python -m stages.cilp` gave exit code {process.returncode}; run it there")
    return False


def _stamp() -> int | None:
    try:
        return (FOLDER / STATE).stat().st_mtime_ns
    except FileNotFoundError:  # before the first state, and while a newer one takes its place
        return None


def _measure_states() -> None:
    """Print the processor time that it takes to write the state on the disk again, and its share at the usual pace."""
    path = FOLDER / STATE
    key = path.read_bytes().split(b"\n")[1].decode()
    state = StateFile(path, key).load(torch.device("cpu"))
    if state is None:
        raise PipelineError(f"{path}: found no whole state, expected the one that was just written")
    copy = StateFile(FOLDER / "copy.pt", key)
    start = process_time()
    for _ in range(WRITES):
        copy.save(state)
    seconds = (process_time() - start) / WRITES
    size = path.stat().st_size / 2**20
    print(
        f"a state of {size:.1f} MB takes {1000 * seconds:.1f} ms of processor time; an epoch here "
        f"takes {state.history[-1]['seconds']:.2f} s; one state in {SECONDS_BETWEEN_STATES} s costs at most "
        f"{100 * seconds / SECONDS_BETWEEN_STATES:.2f}%",
        flush=True,
    )


if __name__ == "__main__":
    run_command(main)

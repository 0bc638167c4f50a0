"""Run the project on a cluster of Ray with two nodes, and compare every byte with `dvc repro`: `make cluster-check`.

The nodes are processes of this machine with one core each. A sweep of two experiments trains on them. Then nodes are
killed in mid-training, and drivers after some of their stages: whatever happens, the next run ends with equal bytes.
"""

import re
import shutil
import signal
import subprocess
from collections.abc import Callable
from pathlib import Path
from random import Random
from time import monotonic, sleep
from typing import Annotated

import typer
import yaml

from pipeline.core.errors import PipelineError, run_command
from scripts.kills import finish
from scripts.projects import (
    ENVIRONMENT,
    TIMES,
    apply_preset,
    forget_stages,
    make_project,
    read_stages,
    run,
    use_times_of,
)
from scripts.ray_nodes import Nodes, start_cluster

FOLDER = Path(".cluster")
TRAININGS = "fusion curve lidar cilp project classify labels"
STALE = 4  # trainings that run in a trial
LATEST_KILL_S = 2  # after the first of them began: with the smoke preset all of them take about 6 s
TIMEOUT_S = 1800
RATES = (2e-4, 3e-4)  # of the sweep


def main(
    preset: Annotated[str, typer.Option(help="Merged over params.yaml; empty for params.yaml itself.")] = "smoke",
    scenes: Annotated[int, typer.Option(help="Simulated scenes.")] = 40,
    kills: Annotated[int, typer.Option(min=0, help="How often a node is killed, and how often a driver.")] = 10,
    seed: Annotated[int, typer.Option(help="Draws the trainings and the instants of the kills.")] = 0,
) -> None:
    """Print times and outcomes; raises PipelineError if a run failed or a byte differs."""
    shutil.rmtree(FOLDER, ignore_errors=True)
    reference, project = FOLDER / "reference", FOLDER / "project"
    make_project(reference)
    if preset:
        apply_preset(reference, preset)
    run(reference, f"python -m pipeline simulate data --scenes {scenes} && dvc add -q data && dvc repro -q prepare")
    shutil.copytree(reference, project, symlinks=True)
    shutil.copytree(reference, FOLDER / "single", symlinks=True)
    seconds = {"dvc repro": _timed(reference, f"dvc repro -q {TRAININGS}")}
    run(reference, "dvc repro -q")
    use_times_of(reference, reference)
    outcomes = []
    with start_cluster([FOLDER / "node1"]) as nodes:
        seconds["one node"] = _timed(FOLDER / "single", _command(nodes, TRAININGS))
    with start_cluster([FOLDER / "node1", FOLDER / "node2"]) as nodes:
        seconds["two nodes"] = _timed(project, _command(nodes, TRAININGS))
        for name, value in seconds.items():
            print(f"trainings, {name}: {value:.0f} s", flush=True)
        run(project, _command(nodes))
        random = Random(seed)
        for trial in (compare, sweep, *[kill_node] * kills, *[kill_driver] * kills):
            shutil.rmtree(FOLDER / "trial", ignore_errors=True)  # a trial ends with times of the reference
            shutil.copytree(project, FOLDER / "trial", symlinks=True)
            outcomes.append(trial(FOLDER / "trial", reference, nodes, random))
            print(*outcomes[-1], sep=": ", flush=True)
    if failed := [note for outcome, note in outcomes if outcome != "identical"]:
        raise PipelineError(f"{project}: {len(failed)} of {len(outcomes)} trials failed; look at {failed[0]}")
    print(f"{len(outcomes)} trials, no byte differs but for the times")
    shutil.rmtree(FOLDER)


def compare(project: Path, reference: Path, nodes: Nodes, random: Random) -> tuple[str, str]:
    """Compare what two nodes made with what `dvc repro` made, and return the outcome and a note."""
    return finish(project, reference, "dvc repro", "two nodes against `dvc repro`")


def sweep(project: Path, reference: Path, nodes: Nodes, random: Random) -> tuple[str, str]:
    """Run a sweep on two nodes, compare its fusions with those of `dvc repro`, and return the outcome and a note."""
    make_repository(project)
    grid = ",".join(map(str, RATES))
    output = run(project, f"python -m pipeline sweep -S fusion.lr={grid} --cluster {nodes.address}").stdout
    changed = run(project, "git status --porcelain").stdout
    commits = run(project, "git for-each-ref --format='%(objectname)' 'refs/exps/*/*/*'").stdout.split()
    files = [
        [run(project, f"git show {commit}:{name}").stdout for name in ("params.yaml", "dvc.lock")] for commit in commits
    ]
    found = {
        yaml.safe_load(params)["fusion"]["lr"]: digest_fusions(yaml.safe_load(lock)["stages"]) for params, lock in files
    }
    expected = {rate: train_fusions(reference, rate) for rate in RATES}
    note = f"a sweep of {len(RATES)} experiments"
    if found != expected or changed or "Running stage" in output:
        return (
            "differs",
            f"{note}: found {found}, expected {expected}; workspace: {changed!r}; output: {output[-1500:]}",
        )
    return "identical", note


def make_repository(project: Path) -> None:
    """Commit a project to a Git repository of its own, as experiments need it."""
    run(project, "dvc config core.no_scm false && git init -q && git config user.name me && git config user.email a@b")
    for name in (".gitignore", ".dvc/.gitignore"):
        shutil.copy2(name, project / name)
    run(project, "dvc commit -q --force && git add -A && git commit -qm all")


def train_fusions(reference: Path, rate: float) -> dict[str, str]:
    """Train the cells at a learning rate by `dvc repro` in a copy of a project; return the MD5s of their outputs."""
    folder = FOLDER / "rate"
    shutil.rmtree(folder, ignore_errors=True)
    shutil.copytree(reference, folder, symlinks=True)
    params = yaml.safe_load((folder / "params.yaml").read_text())
    params["fusion"]["lr"] = rate
    (folder / "params.yaml").write_text(yaml.safe_dump(params, sort_keys=False))
    run(folder, "dvc repro -q fusion")
    return digest_fusions(read_stages(folder))


def digest_fusions(stages: dict[str, dict]) -> dict[str, str]:
    """Return the MD5 of each output of the cells but the times, by its path."""
    outs = [out for name, stage in stages.items() if name.startswith("fusion@") for out in stage["outs"]]
    return {out["path"]: out["md5"] for out in outs if not Path(out["path"]).is_relative_to(TIMES)}


def kill_node(project: Path, reference: Path, nodes: Nodes, random: Random) -> tuple[str, str]:
    """Kill a node without grace while it trains, add another, and return the outcome and a note."""
    stale = make_trainings_stale(project, random)
    folder, delay = random.choice(nodes.folders), random.uniform(0, LATEST_KILL_S)
    driver = _start(project, _command(nodes))
    _wait_for(driver, lambda: any(folder.glob("rgb-lidar-cilp-*/scratch/*/log")))
    sleep(delay)
    training = driver.poll() is None
    nodes.replace(folder)
    output, _ = driver.communicate(timeout=TIMEOUT_S)
    note = f"{folder.name} killed {delay:.1f} s into a training of {', '.join(stale)}"
    if driver.returncode:
        return "lost", f"{note}: exit code {driver.returncode}: {output[-1500:]}"
    return finish(project, reference, _command(nodes), note if training else f"{note}, after the run's end")


def kill_driver(project: Path, reference: Path, nodes: Nodes, random: Random) -> tuple[str, str]:
    """Kill the driver after some of its trainings; the next run trains only the rest."""
    stale = make_trainings_stale(project, random)
    count = random.randrange(len(stale))
    driver = _start(project, _command(nodes))
    _wait_for(driver, lambda: len(read_stages(project).keys() & {*stale}) >= count)
    driver.send_signal(signal.SIGKILL)
    driver.communicate()
    left = {*stale} - read_stages(project).keys()
    note = f"driver killed after {len(stale) - len(left)} of {len(stale)} trainings of {', '.join(stale)}"
    output = run(project, _command(nodes, TRAININGS), check=False).stdout
    counts = re.search(r"stages: (\d+) run, (\d+) restored", output)
    # one may be restored: DVC records a run in its cache first, then in dvc.lock
    if not counts or sum(map(int, counts.groups())) != len(left) or int(counts[2]) > 1:
        return "lost", f"{note}; expected {len(left)} trainings in the next run: {output[-1500:]}"
    return finish(project, reference, _command(nodes), note)


def make_trainings_stale(project: Path, random: Random) -> list[str]:
    """Make DVC forget some trainings; return their names."""
    stages = read_stages(project)
    trainings = [name for name in stages if any(out["path"].startswith("runs/times/") for out in stages[name]["outs"])]
    chosen = sorted(random.sample(sorted(trainings), STALE))
    forget_stages(project, chosen)
    return chosen


def _command(nodes: Nodes, targets: str = "") -> str:
    return f"python -m pipeline repro {targets} --cluster {nodes.address}"


def _timed(project: Path, command: str) -> float:
    start = monotonic()
    run(project, command)
    return monotonic() - start


def _start(project: Path, command: str) -> "subprocess.Popen[str]":
    return subprocess.Popen(
        command.split(), cwd=project, env=ENVIRONMENT, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
    )


def _wait_for(driver: "subprocess.Popen[str]", condition: Callable[[], bool]) -> None:
    """Wait until a condition is true, or the driver has ended."""
    end = monotonic() + TIMEOUT_S
    while driver.poll() is None and not condition():
        if monotonic() > end:
            raise PipelineError(f"waited for {TIMEOUT_S} seconds in vain; look at the logs of {FOLDER}")
        sleep(0.05)


if __name__ == "__main__":
    run_command(main)

"""A trial of chaos: a run is killed, and the next one goes on."""

import signal
import subprocess
from pathlib import Path
from random import Random
from time import monotonic, sleep

import psutil

from scripts.projects import ENVIRONMENT, compare_results, forget_stages, read_stages, run, use_times_of

# a command, and the processes that it has while a stage runs: itself, the driver's server of forks, the stage
DRIVER = "python -m pipeline repro"
COMMANDS = {DRIVER: 3, "dvc repro": 2}
WAYS = {"kill -9 of all": signal.SIGKILL, "kill -9 of the first": signal.SIGKILL, "SIGTERM": signal.SIGTERM}
WAYS |= {"Ctrl-C": signal.SIGINT}
# DVC writes these files in place, and names a file that a kill cut; `python -m pipeline repro` writes dvc.lock whole
RWLOCK = ".dvc/tmp/rwlock"
WRITTEN_BY_DVC = (RWLOCK, "'./dvc.lock' validation failed")
SECONDS_TO_END = 60  # of processes whose parent was killed


def kill(folder: Path, base: Path, random: Random, seconds: float) -> tuple[str, str]:
    """Run some stages anew, kill the run at a random instant, run it again; return the outcome and a note.

    `refused` is the outcome where DVC named a file of its own that the kill cut, and with the file put back the next
    run ended well.
    """
    command, after, way = (random.choice(list(each)) for each in (COMMANDS, COMMANDS, WAYS))
    chosen = make_stale(folder, random)
    note = f"{way} of `{command}` in {', '.join(chosen)}"
    longest = seconds * (len(chosen) + 1) / (len(read_stages(folder)) + len(chosen))
    for _ in range(20):  # until one is killed before it ends
        lock, delay = (folder / "dvc.lock").read_bytes(), random.uniform(0, longest)
        if killed := start_and_kill(folder, command, delay, way):
            break
        longest *= 0.8
        make_stale(folder, random)
    else:
        return "lost", f"{note}: it always ended before the kill"
    note += f" {delay:.1f} s after the start of a stage"
    states = len(list((folder / ".resume").rglob("seed*.pt")))
    outcome, note = finish(folder, base, after, f"{note}; {killed} processes, {states} states")
    if outcome != "lost" or not any(name in note for name in WRITTEN_BY_DVC):
        return outcome, note
    (folder / RWLOCK).unlink(missing_ok=True)
    (folder / "dvc.lock").write_bytes(lock)
    outcome, _ = finish(folder, base, after, note)
    return ("refused" if outcome == "identical" else outcome), note.splitlines()[0]


def finish(folder: Path, base: Path, command: str, note: str) -> tuple[str, str]:
    """Run a project to its end, and return the outcome and a note."""
    done = run(folder, command, check=False)
    if done.returncode:
        return "lost", f"{note}; `{command}` gave exit code {done.returncode}: {done.stdout[-1500:]}"
    if "up to date" not in (status := run(folder, "dvc status").stdout):
        return "lost", f"{note}; not up to date: {status}"
    left = [str(path) for path in (*folder.rglob(".*.partial"), *folder.glob(".resume"))]
    if left:
        return "lost", f"{note}; left over: {', '.join(left)}"
    use_times_of(base, folder)
    if different := compare_results(base, folder):
        return "wrong", f"{note}; other bytes in {', '.join(different)}"
    return "identical", note


def make_stale(folder: Path, random: Random) -> list[str]:
    """Make DVC forget one to three stages; return their names."""
    stages = read_stages(folder)
    chosen = random.sample(sorted(stages), min(random.randint(1, 3), len(stages)))
    forget_stages(folder, chosen)
    return chosen


def start_and_kill(folder: Path, command: str, delay: float, way: str) -> int:
    """Start a command, end it `delay` seconds after its first stage began, and return its number of processes then.

    A command that is none of COMMANDS is given no time to begin a stage.
    """
    process = subprocess.Popen(
        command.split(),
        cwd=folder,
        env=ENVIRONMENT,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    while process.poll() is None and len(_family(process.pid)) < COMMANDS.get(command, 1):
        sleep(0.02)
    try:
        process.wait(delay)
        return 0
    except subprocess.TimeoutExpired:
        family = _family(process.pid)
    targets = family if way in ("kill -9 of all", "Ctrl-C") else family[:1]
    for each in targets:
        try:
            each.send_signal(WAYS[way])
        except psutil.NoSuchProcess:
            pass
    process.wait()
    deadline = monotonic() + SECONDS_TO_END
    while any(map(_is_running, family)) and monotonic() < deadline:
        sleep(0.02)
    return len(family)


def _is_running(process: psutil.Process) -> bool:
    """Return whether a process runs: the first process of a container may leave ended ones as zombies."""
    try:
        return bool(process.status() != psutil.STATUS_ZOMBIE)
    except psutil.NoSuchProcess:
        return False


def _family(pid: int) -> list[psutil.Process]:
    """Return a process and its descendants; none if it is gone."""
    try:
        return [psutil.Process(pid), *psutil.Process(pid).children(recursive=True)]
    except psutil.NoSuchProcess:
        return []

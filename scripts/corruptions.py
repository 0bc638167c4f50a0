"""A trial of chaos: one file of a project is corrupted, and the next run is harmless, repairs it or refuses it."""

import shutil
from pathlib import Path
from random import Random

from scripts.kills import COMMANDS, DRIVER, finish, make_stale, start_and_kill
from scripts.projects import run

PLACES = ("runs/*/**/*", "runs/prepare/arrays/*", "runs/*/**/models/*", "data/**/*", "dvc.lock", ".resume/**/*.pt")
KINDS = ("a byte flipped", "cut", "emptied", "deleted", "replaced by noise")


def corrupt(folder: Path, base: Path, random: Random, seconds: float) -> tuple[str, str]:
    """Corrupt one file, run the project again, and return the outcome and a note.

    The outcomes: harmless or repaired (`identical`), `refused` by an error that names the file, after which the file is
    put back and the run repeated, `wrong`, and `lost`.
    """
    place, kind = random.choice(PLACES), random.choice(KINDS)
    if place.startswith(".resume"):
        make_stale(folder, random)
        start_and_kill(folder, DRIVER, random.uniform(0.2, 1) * seconds / 10, "kill -9 of all")
    files = sorted(path for path in folder.glob(place) if path.is_file())
    if not files:
        files = sorted((folder / "runs/prepare/arrays").iterdir())
    path = random.choice(files)
    name = path.relative_to(folder)
    damage(path, kind, random)
    note = f"{name} {kind}"
    command = f"python -m pipeline data && {random.choice(list(COMMANDS))}"
    done = run(folder, command, check=False)
    if done.returncode == 0:
        return finish(folder, base, DRIVER, note)
    named = [str(each) for each in (name, *name.parents) if str(each) != "."]
    if not any(each in done.stdout for each in named):
        return "lost", f"{note}; refused without its name: {done.stdout[-1500:]}"
    if not (base / name).exists():
        path.unlink()
    else:
        shutil.copy2(base / name, path)
    outcome, _ = finish(folder, base, command, note)
    return ("refused" if outcome == "identical" else outcome), f"{note}: {done.stdout.strip().splitlines()[-1][:200]}"


def damage(path: Path, kind: str, random: Random) -> None:
    """Corrupt a file; its bytes elsewhere, linked or cached, stay."""
    content = bytearray(path.read_bytes())
    path.unlink()
    if kind == "deleted":
        return
    if kind == "a byte flipped" and content:
        content[random.randrange(len(content))] ^= 1 << random.randrange(8)
    elif kind == "cut":
        content = content[: random.randrange(max(len(content), 1))]
    elif kind == "emptied":
        content = bytearray()
    elif kind == "replaced by noise":
        content = bytearray(random.randbytes(len(content)))
    path.write_bytes(content)

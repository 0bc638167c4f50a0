"""Build the image without Docker, run it as Docker would, and compare with a run outside: `make image-check`.

buildah builds the Dockerfile of the last commit on a stand-in for its base image, which mmdebstrap makes of this
system's release: no registry and no daemon is needed, but root is. The container's root is read-only, its /tmp is
`noexec`, and its user has no entry in /etc/passwd, as under `docker run --read-only --tmpfs /tmp --user 12345:12345`.
BUILD_FLAGS go to buildah, for example `--secret id=pip.conf,src=FILE`.
"""

import json
import os
import platform
import shlex
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from time import monotonic
from uuid import uuid4

from pipeline.core.errors import PipelineError, run_command
from scripts.projects import compare_results, run, use_times_of

FOLDER = Path(".image-check").resolve()
BASE, IMAGE = "localhost/rgb-lidar-cilp-stand-in", "localhost/rgb-lidar-cilp-check"
USER = 12345
TOOLS = ("buildah", "mmdebstrap", "unshare", "chroot")
# what must not enter an image, though it lies in the folder that it is built from
PRIVATE = [
    *(".git/a", ".env", ".netrc", "pip.conf", "id_ed25519", "data/cubes/a", "runs/a", "wandb/a", "mine/a", ".venv/a"),
    *(".dvc/config.local", ".dvc/cache/a", ".dvc/tmp/a", "pretrained/a.safetensors", "pipeline/__pycache__/a"),
]
SECRET = uuid4().hex
# the mounts of a container, and its command as a user that /etc/passwd does not have
ENTER = """
mount --bind "$1" "$1" && mount -o remount,bind,ro "$1"
mount -t tmpfs -o noexec,nosuid,nodev,mode=1777 tmpfs "$1/tmp"
mount --bind "$2" "$1/workspace"
mount -t proc proc "$1/proc"
mount --rbind /dev "$1/dev"
root=$1 user=$3
shift 3
exec chroot --userspec="$user:$user" --groups= "$root" env -i --chdir=/workspace "$@"
"""


def main() -> None:
    """Check the image; raises PipelineError for the first thing that is wrong."""
    if absent := [name for name in TOOLS if not shutil.which(name)]:
        raise PipelineError(
            f"found no {', '.join(absent)}; needed to build without Docker: apt-get install {absent[0]}"
        )
    if os.geteuid():
        raise PipelineError("found no root, who alone may build and mount here; run `sudo make image-check`")
    shutil.rmtree(FOLDER, ignore_errors=True)
    FOLDER.mkdir()
    build()
    with container() as root:
        size = run(FOLDER, f"du -sm --one-file-system {root} | cut -f1").stdout.strip()
        print(
            f"image: {size} MB, of which /opt/venv {run(root, 'du -sm opt/venv | cut -f1').stdout.strip()}", flush=True
        )
        require_nothing_private(root)
        check_foreign_folder(root)
        check_main_job(root)
        check_windows_checkout(root)
        check_worktree(root)
    run(FOLDER, f"buildah rmi {IMAGE}")
    shutil.rmtree(FOLDER)


def build() -> None:
    """Build the stand-in base, where there is none yet, and the image from a clone with private files beside it."""
    if run(FOLDER, f"buildah inspect {BASE}", check=False).returncode:
        release = platform.freedesktop_os_release()["VERSION_CODENAME"]
        run(FOLDER, f"mmdebstrap --variant=minbase --include=ca-certificates {release} base.tar")
        (FOLDER / "Dockerfile").write_text("FROM scratch\nADD base.tar /\n")
        run(FOLDER, f"buildah bud --tag {BASE} . && rm base.tar Dockerfile")
    clone("context")
    for name in PRIVATE:
        (FOLDER / "context" / name).parent.mkdir(parents=True, exist_ok=True)
        (FOLDER / "context" / name).write_text(SECRET)
    flags = f"--isolation chroot --build-arg BASE_IMAGE={BASE} {os.environ.get('BUILD_FLAGS', '')}"
    run(FOLDER, f"buildah rmi {IMAGE}", check=False)  # of a check that failed
    start = monotonic()
    run(FOLDER / "context", f"buildah bud {flags} --tag {IMAGE} .")
    print(f"built in {monotonic() - start:.0f} s", flush=True)


@contextmanager
def container() -> Iterator[Path]:
    """Give the root folder of a container of the image."""
    name = run(FOLDER, f"buildah from {IMAGE}").stdout.split()[-1]
    try:
        yield Path(run(FOLDER, f"buildah mount {name}").stdout.split()[-1])
    finally:
        run(FOLDER, f"buildah rm {name}")


def require_nothing_private(root: Path) -> None:
    """Look for the private files of the context and for settings of pip."""
    if names := run(root / "workspace", f"grep -rl {SECRET} .", check=False).stdout.split():
        raise PipelineError(f"/workspace in the image has {', '.join(names)}, expected none of them; see .dockerignore")
    if settings := enter(root, root / "workspace", "pip", "config", "list"):
        raise PipelineError(f"the image has settings of pip, expected none: {settings}")
    packages = json.loads((root / "opt/sbom.cdx.json").read_text())["components"]
    print(f"nothing private inside; the SBOM lists {len(packages)} packages", flush=True)


def check_foreign_folder(root: Path) -> None:
    """Start the main job in a folder of another user: one line has to name the option of Docker that is missing."""
    output = enter(root, clone("foreign"), code=1)
    if output.count("\n") != 1 or "docker run --user" not in output:
        raise PipelineError(f"the main job in a folder of another user: found {output}, expected one line with the fix")
    print("foreign folder: refused in one line", flush=True)


def check_main_job(root: Path) -> None:
    """Run the smoke preset inside and outside; every file has to belong to the user, and to have the bytes outside."""
    outside, inside = make_small(clone("outside")), make_small(clone("inside"))
    run(outside, "python -m pipeline repro")
    use_times_of(outside, outside)
    give(inside)
    start = monotonic()
    enter(root, inside)
    print(f"main job inside: {monotonic() - start:.0f} s", flush=True)
    if "up to date" not in (status := enter(root, inside, "dvc", "status")):
        raise PipelineError(f"{inside}: found `dvc status` {status}, expected all up to date")
    net, pictures = "runs/classify/full/models/seed0.safetensors", "data/cubes/rgb"
    enter(root, inside, "python", "-m", "pipeline", "predict", "--checkpoint", net, pictures)
    enter(root, inside, "bash", "-c", "git log -1 && dvc exp show --no-pager")
    require_equal(inside, outside)


def check_windows_checkout(root: Path) -> None:
    """Run the main job in a copy without Git whose text files have Windows line ends and no permission to execute."""
    folder = make_small(clone("windows"))
    shutil.rmtree(folder / ".git")
    texts = r"find . -type f -not -path './data/*' -not -path './.dvc/*' -exec grep -Iq . {} \; -print0"
    run(folder, f"{texts} | xargs -0 sed -i 's/\\r*$/\\r/' && chmod -R a-x,a+X .")
    give(folder)
    enter(root, folder)
    require_equal(folder, FOLDER / "outside")


def check_worktree(root: Path) -> None:
    """Run a stage in a Git worktree whose repository is not mounted, and leave no setting in it."""
    folder = FOLDER / "worktree"
    run(clone("repository"), f"git worktree add -q --detach {shlex.quote(str(folder))}")
    give(make_small(folder))
    enter(root, folder, "dvc", "repro", "prepare")
    if (folder / ".dvc/config.local").exists():
        raise PipelineError(f"{folder}/.dvc/config.local: found a setting that stays; expected none")
    print("worktree: a stage runs without the repository, and no setting stays", flush=True)


def require_equal(inside: Path, outside: Path) -> None:
    """Compare owners, then bytes; raises PipelineError where a file is another user's or differs from outside."""
    if foreign := [path for path in inside.rglob("*") if path.lstat().st_uid != USER]:
        raise PipelineError(f"{foreign[0]} and {len(foreign) - 1} more: found another owner, expected {USER}")
    use_times_of(outside, inside)
    if different := compare_results(outside, inside):
        raise PipelineError(
            f"{inside}: found other bytes than outside in {', '.join(different[:5])}; expected equal ones"
        )
    files = sum(path.is_file() for path in (inside / "runs").rglob("*"))
    print(f"{inside.name}: {files} results have the bytes of a run outside; all are of user {USER}", flush=True)


def clone(name: str) -> Path:
    """Clone the last commit of this repository below FOLDER, and return the folder."""
    run(FOLDER, f"git clone -q --no-hardlinks {shlex.quote(str(FOLDER.parent))} {name}")
    return FOLDER / name


def make_small(folder: Path) -> Path:
    """Give a clone the smoke preset, data of 40 scenes and no results, and return it."""
    run(folder, "python -m pipeline preset smoke && python -m pipeline simulate data --scenes 40 && dvc add -q data")
    run(folder, "rm -r runs")
    return folder


def give(folder: Path) -> None:
    """Make USER the owner of a folder."""
    run(folder, f"chown -R {USER}:{USER} .")


def enter(root: Path, folder: Path, *arguments: str, code: int = 0) -> str:
    """Run the image's entry point with a folder mounted as /workspace, and return its output.

    Raises PipelineError if its exit code is not `code`.
    """
    config = json.loads(run(FOLDER, f"buildah inspect --type image {IMAGE}").stdout)["OCIv1"]["config"]
    command = [str(root), str(folder), str(USER), *config["Env"], *config["Entrypoint"], *arguments]
    unshare = ["unshare", "--mount", "--pid", "--fork", "--kill-child", "sh", "-euc", ENTER, "sh"]
    done = subprocess.run([*unshare, *command], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    if done.returncode != code:
        name = " ".join(arguments) or "the main job"
        raise PipelineError(
            f"{name} in the image: found exit code {done.returncode}, expected {code}:\n{done.stdout[-3000:]}"
        )
    return done.stdout


if __name__ == "__main__":
    run_command(main)

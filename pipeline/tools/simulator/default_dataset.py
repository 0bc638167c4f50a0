"""The default data set, and the comparison of data/ with the hash in data.dvc.

DVC's command line has no quick equal of this use of its library: `dvc status` calls a changed folder "not in cache" in
a clone without cache, and `dvc data status` takes over a second more (both measured with DVC 3.67).
"""

import shutil
from pathlib import Path
from typing import TYPE_CHECKING

from pipeline.core.errors import PipelineError
from pipeline.jobs.repository import open_repo
from pipeline.tools.simulator.simulate import simulate

if TYPE_CHECKING:
    from dvc.output import Output
    from dvc.repo import Repo

SCENES = 1000
SEED = 0


def ensure_default_dataset(folder: Path) -> None:
    """Simulate the default data set if `folder` is absent, then compare it with the hash in `<folder>.dvc`.

    Raises PipelineError if they differ: `dvc repro` would take the folder and silently pin it anew. Files that a user
    brought are never changed; only a set that was simulated here and is not the pinned one is removed again.
    """
    with open_repo() as repo:
        output = _read_pin(repo, folder)
        absent = not folder.exists()
        if absent:
            print(f"{folder}: absent, simulating the default data set ({SCENES} scenes, seed {SEED})")
            simulate(folder, SCENES, SEED)
        pinned, found = output.hash_info.value, output.get_hash().value
    if pinned == found:
        print(f"{folder}: hash {found} equals {folder}.dvc's")
        return
    if absent:
        shutil.rmtree(folder)
        raise PipelineError(
            f"{folder}.dvc pins {pinned}, the default data set is {found}: the pinned set is another one; fetch it "
            f"with `dvc pull` or `dvc checkout`, or go back to the default with `git checkout {folder}.dvc`"
        )
    raise PipelineError(
        f"{folder} has the hash {found}, {folder}.dvc pins {pinned}: to use this folder run `dvc add {folder}`; "
        f"to go back to the pinned set move the folder away"
    )


def _read_pin(repo: "Repo", folder: Path) -> "Output":
    """Read `<folder>.dvc`; raises PipelineError if it is absent or broken."""
    from dvc.exceptions import DvcException

    pin = Path(f"{folder}.dvc")
    if not pin.exists():
        raise PipelineError(
            f"{pin}: not found: this file names the data to use; get it with `git checkout {pin}`, or from the download"
        )
    try:
        return repo.stage.load_one(str(pin)).outs[0]
    except (DvcException, IndexError, KeyError) as error:  # the latter two from a truncated file
        raise PipelineError(
            f"{pin} cannot be read ({error}); get it back with `git checkout {pin}`, or from the download"
        ) from None

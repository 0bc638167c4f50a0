"""The default data set, and whether data/ is what data.dvc pins."""

import shutil
from pathlib import Path

from pipeline.core.errors import PipelineError
from pipeline.tools.simulator.simulate import simulate

SCENES = 1000
SEED = 0


def ensure_default_dataset(folder: Path) -> None:
    """Simulate the default data set if `folder` is absent, then hold it against the hash in `<folder>.dvc`.

    Raises PipelineError if they differ: `dvc repro` would take the folder and silently pin it anew. Nothing that a
    user brought is changed; only a set simulated here that is not the pinned one is taken away again.
    """
    pin = Path(f"{folder}.dvc")
    if not pin.exists():
        raise PipelineError(f"{pin}: not found: nothing says which data to use; get it with `git checkout {pin}`")
    absent = not folder.exists()
    if absent:
        print(f"{folder}: absent, simulating the default data set ({SCENES} scenes, seed {SEED})")
        simulate(folder, SCENES, SEED)
    pinned, found = _hashes(folder)
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


def _hashes(folder: Path) -> tuple[str, str]:
    """(pinned, found) as DVC computes them."""
    from dvc.exceptions import DvcException  # slow to import, and only this command needs it
    from dvc.repo import Repo

    try:
        with Repo() as repo:
            out = repo.stage.load_one(f"{folder}.dvc").outs[0]
            return out.hash_info.value, out.get_hash().value
    except (DvcException, IndexError, KeyError) as error:  # the latter two from a truncated file
        raise PipelineError(
            f"{folder}.dvc cannot be read ({error}); get it back with `git checkout {folder}.dvc`"
        ) from None

"""What a net says of every pair of a raw folder, for the view of it."""

from pathlib import Path

from pipeline.data.raw import DataError, Fault
from pipeline.results import files, shipped

BATCH = 64  # files at a time


def say(checkpoint: Path, folder: Path) -> dict[tuple[str, str], tuple[str, float]]:
    """(cubes or spheres, 0000) -> (class, its probability). Raises PipelineError for a broken checkpoint or file."""
    from pipeline import device as machine

    device = machine.choose()
    net, said, faults = shipped.open_shipped(checkpoint, device), {}, []
    for answer in files.predict(net, [folder], BATCH, device):
        if isinstance(answer, Fault):
            faults.append(answer)
            continue
        said[answer.path.parent.parent.name, answer.path.stem] = (answer.name, answer.probability)
    if faults:
        raise DataError(*faults)
    return said

"""What a net says of every pair of a raw folder, for the view of it."""

from pathlib import Path

from pipeline.raw.format import DataError, Issue
from pipeline.tools.inference.deployable import load_deployable
from pipeline.tools.inference.files import predict_files

BATCH = 64  # files at a time


def predict_folder(checkpoint: Path, folder: Path) -> dict[tuple[str, str], tuple[str, float]]:
    """(cubes or spheres, 0000) -> (class, its probability). Raises PipelineError for a broken checkpoint or file."""
    from pipeline.core.device import setup_device

    device = setup_device()
    net, said, faults = load_deployable(checkpoint, device), {}, []
    for answer in predict_files(net, [folder], BATCH, device):
        if isinstance(answer, Issue):
            faults.append(answer)
            continue
        said[answer.path.parent.parent.name, answer.path.stem] = (answer.name, answer.probability)
    if faults:
        raise DataError(*faults)
    return said

"""A net's predictions for every pair of a raw folder, as the FiftyOne view shows them."""

from pathlib import Path

from pipeline.raw.format import DataError, Issue
from pipeline.tools.inference.deployable import load_deployable
from pipeline.tools.inference.files import predict_files

BATCH_SIZE = 64


def predict_folder(checkpoint: Path, folder: Path) -> dict[tuple[str, str], tuple[str, float]]:
    """Return (`cubes` or `spheres`, `0000`) -> (predicted class, its probability) for every pair of a raw folder.

    Raises PipelineError for a broken checkpoint, DataError with all files that cannot be read.
    """
    from pipeline.core.device import setup_device

    device = setup_device()
    net, predictions, issues = load_deployable(checkpoint, device), {}, []
    for result in predict_files(net, [folder], BATCH_SIZE, device):
        if isinstance(result, Issue):
            issues.append(result)
            continue
        path, class_name, probability = result
        predictions[path.parent.parent.name, path.stem] = class_name, probability
    if issues:
        raise DataError(*issues)
    return predictions

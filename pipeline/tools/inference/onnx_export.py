"""A checkpoint as an ONNX file that any runtime can use, checked against torch before it takes its name."""

import json
import logging
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch

from pipeline.core.errors import PipelineError
from pipeline.core.files import atomic, sha256
from pipeline.core.sensors import CLASS_NAMES
from pipeline.raw.format import Issue
from pipeline.tools.inference.deployable import Deployable, load_deployable
from pipeline.tools.inference.files import READ, counterpart, find_files
from pipeline.tracking.provenance import commit, data_hash

CHECKED = 256  # real inputs at most
TOLERANCE = 1e-4  # both in float32; of a logit, or of the largest one where that is over 1
INPUTS = {
    "rgb": "rgb: uint8 (B, 64, 64, 4), RGBA as in the PNG file",
    "lidar": "lidar: float32 (B, 64, 64), range along the ray, 50 = no return, as in the npy file",
}


class Exported(NamedTuple):
    """What the check saw."""

    pairs: int
    difference: float  # see compare
    metadata: dict[str, str]


def export_onnx(checkpoint: Path, out: Path, inputs: Path) -> Exported:
    """Write `out` from a checkpoint and run it on up to 256 files of the raw folder `inputs`.

    Raises PipelineError, and leaves no file, if the inputs cannot be read or ONNX Runtime's logits differ from torch's.
    """
    shipped = load_deployable(checkpoint, torch.device("cpu"))
    values = real_inputs(inputs, shipped.sensors)
    metadata = describe(checkpoint, shipped)
    with atomic(out) as part:
        write_onnx(shipped, part, metadata)
        # np.max keeps a NaN, which no comparison would see otherwise
        difference = float(np.max([compare(shipped, part, [each[:size] for each in values]) for size in (1, None)]))
        if not difference <= TOLERANCE:
            raise PipelineError(
                f"{out}: ONNX Runtime's logits differ from torch's by {difference:.2g}; expected at most {TOLERANCE}; "
                f"nothing was written: export with the pinned versions of requirements.txt"
            )
    return Exported(len(values[0]), difference, metadata)


def real_inputs(folder: Path, sensors: Sequence[str], count: int = CHECKED) -> list[np.ndarray]:
    """One array (N, ...) a sensor, evenly from all over the folder; raises PipelineError at the first broken file."""
    found = list(find_files([folder], sensors))
    if faulty := [each for each in found if isinstance(each, Issue)]:
        raise PipelineError(f"{faulty[0]}; the export is checked on real files: --inputs FOLDER")
    chosen = [found[place] for place in np.linspace(0, len(found) - 1, min(count, len(found))).astype(int)]
    return [np.stack([READ[sensor](counterpart(file, sensor)) for file in chosen]) for sensor in sensors]


def write_onnx(shipped: Deployable, path: Path, metadata: dict[str, str]) -> None:
    """The graph, preprocessing and all, for any batch size."""
    import onnx  # half a second, and only exports need it

    example = {"rgb": torch.zeros(2, 64, 64, 4, dtype=torch.uint8), "lidar": torch.full((2, 64, 64), 50.0)}
    batch = torch.export.Dim("batch")
    logging.getLogger("torch.onnx").setLevel(logging.ERROR)  # it warns that torchvision is absent
    with warnings.catch_warnings(), torch.inference_mode():
        warnings.simplefilter("ignore")  # of the exporter's own internals
        program = torch.onnx.export(
            shipped.module,
            tuple(example[sensor] for sensor in shipped.sensors),
            input_names=list(shipped.sensors),
            output_names=["logit"],
            dynamic_shapes=tuple({0: batch} for _ in shipped.sensors),
            dynamo=True,
            verbose=False,
        )
    model = program.model_proto
    for part in (model.graph, *model.functions):
        for node in part.node:  # the exporter notes where in whose files each node came from
            node.doc_string = ""
            del node.metadata_props[:]
    for key, value in metadata.items():
        model.metadata_props.add(key=key, value=value)
    onnx.checker.check_model(model, full_check=True)
    path.write_bytes(model.SerializeToString(deterministic=True))


def onnx_session(path: Path):
    """ONNX Runtime's session of a file: one thread, on the CPU, so that it can be compared."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    return onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])


def compare(shipped: Deployable, path: Path, values: Sequence[np.ndarray]) -> float:
    """The largest difference between logits of torch and of ONNX Runtime, in units of the largest logit if over 1."""
    with torch.inference_mode():
        expected = shipped.module(*map(torch.from_numpy, values)).numpy()
    found = onnx_session(path).run(["logit"], dict(zip(shipped.sensors, values, strict=True)))[0]
    if found.shape != expected.shape:
        return float("inf")
    return float(np.abs(expected - found).max() / max(1, np.abs(expected).max()))


def describe(checkpoint: Path, shipped: Deployable) -> dict[str, str]:
    """What goes into the file beside the graph."""
    return {
        "classes": json.dumps(CLASS_NAMES),
        "output": "logit: float32 (B,); above 0 is the second class, whose probability is the sigmoid of it",
        "preprocessing": "; ".join(INPUTS[sensor] for sensor in shipped.sensors) + "; all else is inside the graph",
        "checkpoint": checkpoint.name,
        "checkpoint_sha256": sha256(checkpoint),
        "about": json.dumps(shipped.about, sort_keys=True),
        "git_commit": commit(),
        "data_md5": data_hash(),
    }

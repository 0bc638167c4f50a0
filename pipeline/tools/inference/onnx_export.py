"""A checkpoint as an ONNX file for any runtime, written only if its logits equal those of torch."""

import json
import logging
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import torch

from pipeline.core.errors import PipelineError
from pipeline.core.files import atomic, sha256
from pipeline.core.sensors import CLASS_NAMES
from pipeline.raw.format import Issue
from pipeline.tools.inference.deployable import Deployable, load_deployable
from pipeline.tools.inference.files import READERS, counterpart, find_files
from pipeline.tracking.provenance import commit, data_hash
from pipeline.version import __version__

if TYPE_CHECKING:
    import onnxruntime

MAX_PAIRS = 256  # real inputs on which an export is compared
TOLERANCE = 1e-4  # largest difference of float32 logits; relative to the largest logit where that is over 1
INPUTS = {
    "rgb": "rgb: uint8 (B, 64, 64, 4), RGBA as in the PNG file",
    "lidar": "lidar: float32 (B, 64, 64), range along the ray, 50 = no return, as in the npy file",
}


class Comparison(NamedTuple):
    """How an ONNX file compares with torch."""

    pairs: int
    difference: float  # see max_difference
    metadata: dict[str, str]


def export_onnx(checkpoint: Path, out: Path, inputs: Path) -> Comparison:
    """Write `out` from a checkpoint and compare it with torch on up to 256 files of the raw folder `inputs`.

    Raises PipelineError, and leaves no file, if the inputs cannot be read or ONNX Runtime's logits differ from torch's.
    """
    net = load_deployable(checkpoint, torch.device("cpu"))
    values = real_inputs(inputs, net.sensors)
    metadata = describe(checkpoint, net)
    with atomic(out) as part:
        write_onnx(net, part, metadata)
        differences = [max_difference(net, part, [each[:size] for each in values]) for size in (1, None)]
        difference = float(np.max(differences))  # np.max keeps a NaN, unlike max
        if not difference <= TOLERANCE:
            raise PipelineError(
                f"{out}: ONNX Runtime's logits differ from torch's by {difference:.2g}; expected at most {TOLERANCE}; "
                f"nothing was written: export with the pinned versions of requirements.txt"
            )
    return Comparison(len(values[0]), difference, metadata)


def real_inputs(folder: Path, sensors: Sequence[str], count: int = MAX_PAIRS) -> list[np.ndarray]:
    """Return one array (N, ...) per sensor, of files evenly from the whole folder; N is at most `count`.

    Raises PipelineError at the first broken file.
    """
    files = list(find_files([folder], sensors))
    if issues := [each for each in files if isinstance(each, Issue)]:
        raise PipelineError(f"{issues[0]}; the export is checked on real files: --inputs FOLDER")
    chosen = [files[place] for place in np.linspace(0, len(files) - 1, min(count, len(files))).astype(int)]
    return [np.stack([READERS[sensor](counterpart(file, sensor)) for file in chosen]) for sensor in sensors]


def write_onnx(net: Deployable, path: Path, metadata: dict[str, str]) -> None:
    """Write the graph of a net with its preprocessing, for any batch size."""
    import onnx  # half a second, and only exports need it

    example = {"rgb": torch.zeros(2, 64, 64, 4, dtype=torch.uint8), "lidar": torch.full((2, 64, 64), 50.0)}
    batch = torch.export.Dim("batch")
    logging.getLogger("torch.onnx").setLevel(logging.ERROR)  # it warns that torchvision is absent
    with warnings.catch_warnings(), torch.inference_mode(), _default_rounding():
        warnings.simplefilter("ignore")  # of the exporter's own internals
        program = torch.onnx.export(
            net.module,
            tuple(example[sensor] for sensor in net.sensors),
            input_names=list(net.sensors),
            output_names=["logit"],
            dynamic_shapes=tuple({0: batch} for _ in net.sensors),
            dynamo=True,
            verbose=False,
        )
    assert program is not None  # as it is with dynamo=True
    model = program.model_proto
    for part in (model.graph, *model.functions):
        for node in part.node:  # the exporter notes where in whose files each node came from
            node.doc_string = ""
            del node.metadata_props[:]
    for key, value in metadata.items():
        model.metadata_props.add(key=key, value=value)
    onnx.checker.check_model(model, full_check=True)
    path.write_bytes(model.SerializeToString(deterministic=True))


@contextmanager
def _default_rounding() -> Iterator[None]:
    """Undo for a while what `setup_device` asks of cuDNN: the exporter reads an older flag, which then is an error."""
    cudnn: Any = torch.backends.cudnn
    backends = [cudnn.conv, cudnn.rnn]
    before = [each.fp32_precision for each in backends]
    try:
        for each in backends:
            each.fp32_precision = "tf32"
        yield
    finally:
        for each, precision in zip(backends, before, strict=True):
            each.fp32_precision = precision


def onnx_session(path: Path) -> "onnxruntime.InferenceSession":
    """Open a file in ONNX Runtime on one thread of the CPU, so that results repeat."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    return onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])


def max_difference(net: Deployable, path: Path, values: Sequence[np.ndarray]) -> float:
    """Return the largest difference between logits of torch and of ONNX Runtime, infinite if their shapes differ.

    Its unit is the largest absolute logit of torch where that is over 1.
    """
    with torch.inference_mode():
        expected = net.module(*map(torch.from_numpy, values)).numpy()
    found = onnx_session(path).run(["logit"], dict(zip(net.sensors, values, strict=True)))[0]
    if found.shape != expected.shape:
        return float("inf")
    return float(np.abs(expected - found).max() / max(1, np.abs(expected).max()))


def describe(checkpoint: Path, net: Deployable) -> dict[str, str]:
    """Return the metadata of the ONNX file."""
    return {
        "version": __version__,
        "classes": json.dumps(CLASS_NAMES),
        "output": "logit: float32 (B,); above 0 is the second class, whose probability is the sigmoid of it",
        "preprocessing": "; ".join(INPUTS[sensor] for sensor in net.sensors) + "; all else is inside the graph",
        "checkpoint": checkpoint.name,
        "checkpoint_sha256": sha256(checkpoint),
        "about": json.dumps(net.about, sort_keys=True),
        "git_commit": commit(),
        "data_md5": data_hash(),
    }

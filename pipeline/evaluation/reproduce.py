"""Whether the checkpoints of a finished stage reproduce its figures."""

from collections.abc import Iterable, Mapping
from typing import Any

import torch

from pipeline.core.device import precision_name
from pipeline.core.errors import PipelineError
from pipeline.core.files import read_json
from pipeline.core.runs import RUNS

# figures are stored to 6 digits, and a CPU repeats them; a GPU picks its kernels, and with them its rounding, by shape
TOLERANCE = {"cpu": 2e-6, "cuda": 0.02}


def assert_precision(runs: Iterable[str], device: torch.device) -> None:
    """Raise PipelineError unless every run, such as `fusion/late-maxpool`, was computed in the present precision."""
    present = precision_name(device)
    for run in runs:
        path = RUNS / run / "metrics.json"
        recorded = read_json(path).get("precision", "not recorded")
        if recorded != present:
            raise PipelineError(
                f"{path}: precision is {recorded}, expected {present}, in which this stage computes; set `precision` "
                "in params.yaml to that of the run, or make the run anew with `dvc repro -f`"
            )


def assert_reproduced(run: str, metrics: Mapping[str, Any], tolerance: float) -> None:
    """Raise PipelineError unless `metrics` are those in the run's own metrics.json, relative to `tolerance`."""
    recorded = read_json(RUNS / run / "metrics.json")
    for key, value in metrics.items():
        if key.endswith(("_ci95", "_sd")):  # follow from the seeds' values, as the mean does
            continue
        if not abs(value - recorded.get(key, float("inf"))) <= tolerance * max(1, abs(value)):
            raise PipelineError(
                f"{RUNS / run}: {key} is {recorded.get(key)} in metrics.json, its checkpoints give {value}: the two "
                f"are of different runs or processors; `dvc repro -f` makes both here"
            )

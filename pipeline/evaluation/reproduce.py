"""Whether the checkpoints of a finished stage reproduce its figures."""

from collections.abc import Mapping
from typing import Any

from pipeline.core.errors import PipelineError
from pipeline.core.files import read_json
from pipeline.core.runs import RUNS

# figures are stored to 6 digits, and a CPU repeats them; a GPU picks its kernels, and with them its rounding, by shape
TOLERANCE = {"cpu": 2e-6, "cuda": 0.02}


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

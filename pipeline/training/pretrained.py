"""Pretrained weights: the course's `lidar_cnn.pt`, a state_dict saved by torch. Never unpickled."""

import pickle
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from pipeline.config.types import Recipe
from pipeline.core.device import to_device
from pipeline.core.errors import PipelineError
from pipeline.core.memory import peak_memory
from pipeline.training.loop import FitResult, LogFn, Task, timing_metrics

_FIX = "give the course's lidar_cnn.pt, or set lidar.channels and lidar.head_dims to the net of your file"


def load_weights(model: nn.Module, path: Path) -> None:
    """Load the weights in `path` into `model`; raises PipelineError, and leaves the model alone, unless every one fits.

    The first key that is missing, unknown, of another shape, or not finite is named.
    """
    found = _read(path)
    expected = model.state_dict()
    for name, tensor in expected.items():
        if name not in found:
            raise PipelineError(f"{path}: {name} is missing; expected {_shape(tensor)}; {_FIX}")
        _check(path, name, found[name], tensor)
    unknown = next((name for name in found if name not in expected), None)
    if unknown is not None:
        raise PipelineError(f"{path}: found {unknown}, which the net does not have; {_FIX}")
    model.load_state_dict(found)


def validate_only(task: Task, recipe: Recipe, epochs: int, seed: int, log: LogFn) -> FitResult:
    """Validate a net whose weights are loaded already, in the place of `fit`: no training, one epoch 0."""
    device = task.batches.rows.device
    model = to_device(task.model, device).eval()
    metrics = {"epoch": 0, "lr": 0.0, **task.validate(model)} | timing_metrics(0.0, 0, peak_memory(device))
    log(seed, metrics)
    return FitResult([], metrics)


def _read(path: Path) -> Mapping[str, Any]:
    """Return the state_dict in a file; only tensors and plain containers are read, so nothing in it can run."""
    try:
        found = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # foreign bytes make the reader raise almost anything
        raise PipelineError(f"{path}: {_refusal(error)}") from None
    if not isinstance(found, Mapping):
        raise PipelineError(f"{path}: found a {type(found).__name__}; expected a state_dict; {_FIX}")
    return found


def _refusal(error: Exception) -> str:
    if isinstance(error, FileNotFoundError):
        return "found nothing; copy the file there, or set lidar.weights to null"
    if isinstance(error, IsADirectoryError):
        return "found a folder; expected a file with a state_dict; name the file"
    if "TorchScript" in str(error):
        return "found a TorchScript archive; expected a state_dict: save that of torch.jit.load(...) instead"
    if isinstance(error, pickle.UnpicklingError):
        return (
            "found pickled objects or no torch file at all, which is not read since it could run code; "
            "expected a state_dict: save it again by torch.save(model.state_dict(), ...)"
        )
    reason = str(error).strip().split("\n")[0]
    return f"not a whole torch file ({reason}); expected a state_dict; copy it again"


def _check(path: Path, name: str, found: Any, expected: Tensor) -> None:
    if not isinstance(found, Tensor):
        raise PipelineError(f"{path}: {name} is a {type(found).__name__}; expected {_shape(expected)}; {_FIX}")
    if found.shape != expected.shape or not found.is_floating_point():
        raise PipelineError(f"{path}: {name} is {_shape(found)}; expected {_shape(expected)}; {_FIX}")
    if not found.isfinite().all():
        raise PipelineError(f"{path}: {name} holds NaN or infinite values; expected finite ones; copy the file again")


def _shape(tensor: Tensor) -> str:
    return f"{str(tensor.dtype).removeprefix('torch.')} {tuple(tensor.shape)}"

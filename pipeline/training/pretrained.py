"""Pretrained weights: the course's `lidar_cnn.pt`, a state_dict saved by torch. Never unpickled."""

import pickle
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from pipeline.config.types import Recipe
from pipeline.core.device import to_device
from pipeline.core.errors import PipelineError, printable
from pipeline.core.memory import peak_memory
from pipeline.training.loop import FitResult, LogFn, Task, timing_metrics

_FIX = "give the course's lidar_cnn.pt, or set lidar.channels and lidar.head_dims to the net of your file"
MAX_DEPTH = 3  # mappings in mappings that are searched for a state_dict


def load_weights(model: nn.Module, path: Path) -> None:
    """Load the weights in `path` into `model`; raises PipelineError, and leaves the model alone, unless every one fits.

    The state_dict may lie in a training's checkpoint (`state_dict`, `model_state_dict`), and its keys may have a
    common prefix (`module.`, `_orig_mod.`). The first key that is missing, unknown, of another shape, or not finite is
    named.
    """
    expected = model.state_dict()
    found = _find_state_dict(path, _read(path), next(iter(expected)))
    for name, tensor in expected.items():
        if name not in found:
            raise PipelineError(f"{path}: {name} is missing; expected {_shape(tensor)}; {_FIX}")
        _check(path, name, found[name], tensor)
    unknown = next((name for name in found if name not in expected), None)
    if unknown is not None:
        raise PipelineError(f"{path}: found {printable(str(unknown), 100)}, which the net does not have; {_FIX}")
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


def _find_state_dict(path: Path, content: Mapping[Any, Any], first: str) -> dict[Any, Any]:
    """Return the one mapping in a file that has the net's first key, behind a prefix or not; keys come without it."""
    found = [(place, each) for place, each in _mappings(content).items() if _prefix(each, first) is not None]
    if len(found) > 1:
        places = " and ".join(printable(place, 100) or "the file itself" for place, _ in found)
        raise PipelineError(f"{path}: found weights in {places}; expected one state_dict; save the right one alone")
    if not found:
        keys = [_join(place, key) for place, each in _mappings(content).items() for key in each]
        held = printable(", ".join(keys[:5]), 300) + ", ..." * (len(keys) > 5) if keys else "nothing"
        raise PipelineError(f"{path}: found {held}; expected a state_dict with {first}; {_FIX}")
    weights = found[0][1]
    prefix = _prefix(weights, first) or ""
    return {name.removeprefix(prefix) if isinstance(name, str) else name: each for name, each in weights.items()}


def _mappings(content: Mapping[Any, Any]) -> dict[str, Mapping[Any, Any]]:
    """Return place -> mapping for a mapping and those in it, each once; the place of the outermost is empty."""
    found: dict[str, Mapping[Any, Any]] = {}
    visited, level = {id(content)}, {"": content}
    for _ in range(MAX_DEPTH):
        found |= level
        entries = [(_join(place, key), value) for place, each in level.items() for key, value in each.items()]
        level = {}
        for place, value in entries:
            if isinstance(value, Mapping) and id(value) not in visited:  # one can hold itself
                visited.add(id(value))
                level[place] = value
    return found


def _join(place: str, key: Any) -> str:
    return f"{place}.{key}" if place else str(key)


def _prefix(weights: Mapping[Any, Any], first: str) -> str | None:
    """Return the part before `first` in the key that ends with it; None where no key does."""
    names = (name for name in weights if isinstance(name, str) and f".{name}".endswith(f".{first}"))
    return next((name.removesuffix(first) for name in names), None)


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

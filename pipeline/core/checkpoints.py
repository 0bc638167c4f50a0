"""Weights of trained nets as files.

Checkpoints are safetensors files: nothing in them can run, and equal weights of one version give equal bytes.
"""

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor, nn

from pipeline.core.device import Net, build_seeded, to_device
from pipeline.core.errors import PipelineError, lacks_memory, printable
from pipeline.core.files import atomic
from pipeline.core.runs import checkpoint_path
from pipeline.version import __version__


def save_checkpoint(path: Path, weights: dict, about: dict) -> None:
    """Save tensors together with `about`: how to rebuild the net, as JSON. The project's version is added to it.

    Raises PipelineError if the disk is full or the folder bars writing.
    """
    tensors = {name: tensor.detach().cpu().contiguous() for name, tensor in weights.items()}
    with atomic(path) as part:
        # one metadata key: safetensors does not promise an order of several, and the bytes should repeat
        metadata = {"about": json.dumps({"version": __version__} | about, sort_keys=True)}
        try:
            save_file(tensors, part, metadata=metadata)
        except SafetensorError as error:  # of a full disk
            raise OSError(str(error)) from None


def save_checkpoints(folder: Path, models: Mapping[int, Any], about: dict) -> None:
    """Save one checkpoint a seed in `folder`/models."""
    for seed, model in models.items():
        save_checkpoint(checkpoint_path(folder, seed), model.state_dict(), about | {"seed": seed})


def load_checkpoint(path: Path) -> tuple[dict, dict]:
    """Return the tensors on the CPU, and `about`; raises PipelineError if the file is absent or not a checkpoint."""
    try:
        with safe_open(path, framework="pt") as file:
            about = json.loads(file.metadata()["about"])
            return {name: file.get_tensor(name) for name in file.keys()}, about
    except FileNotFoundError:
        raise PipelineError(f"{path}: not found; run `dvc repro` to make it") from None
    except (SafetensorError, OSError, TypeError, KeyError, ValueError) as error:
        raise PipelineError(
            f"{path}: not a checkpoint of this project ({error}); name another file, or make it again by `dvc repro`"
        ) from None


def restore(path: Path, kind: str, build: Callable[..., Net], device: torch.device) -> Net:
    """Build the net that a checkpoint describes by `build(**net)`, load its weights, and return it in eval mode.

    Raises PipelineError if the checkpoint is absent, is of another kind, names a net that `build` refuses, or does not
    fit the net.
    """
    weights, about = load_checkpoint(path)
    if about.get("kind") != kind:
        raise PipelineError(f"{path}: found a net of kind {about.get('kind')}, expected {kind}; run `dvc repro`")
    try:
        # under the lock of seeded builds: initial weights drawn here must not fall among those of another thread
        _require_shapes(weights, build, about["net"])
        model = build_seeded(0, lambda: build(**about["net"]))
        model.load_state_dict(weights)
    except PipelineError as error:  # of `build`, which knows no file
        raise PipelineError(
            f"{path}: found a net that cannot be built ({error}); expected a net of this version; run `dvc repro`"
        ) from None
    except (KeyError, TypeError, ValueError, ArithmeticError, RuntimeError) as error:
        if lacks_memory(error):
            raise
        raise PipelineError(f"{path}: weights do not fit the net it names ({error}); run `dvc repro`") from None
    return to_device(model, device).eval()


def _require_shapes(weights: Mapping[str, Tensor], build: Callable[..., nn.Module], net: Mapping[str, Any]) -> None:
    """Raise RuntimeError unless the net has the shapes of `weights`: found without memory, which a file may ask for."""
    with torch.device("meta"):
        expected = build(**net).state_dict()
    for name in {**expected, **weights}:
        found, needed = (tuple(each[name].shape) if name in each else None for each in (weights, expected))
        if found != needed:
            raise RuntimeError(f"{printable(name, 100)} is {found}, expected {needed}")

"""States of trainings on disk: an interrupted training goes on from its last state to equal bytes.

They are written at the ends of epochs, and when a training is cancelled, as by SIGTERM, after its step.

A state belongs to one training. Its key identifies all that the training depends on, and a state of another key is not
used. The first line of a file is the SHA-256 of the rest, the second is the key. What follows is never unpickled.
"""

import hashlib
import io
import json
import os
import shutil
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from time import monotonic
from typing import Any, NamedTuple

import torch
import yaml
from torch import Tensor, nn

from pipeline.core.device import device_name, precision_name
from pipeline.core.files import atomic, sha256
from pipeline.core.runs import RUNS, STATES, states_folder

PIPELINE = Path("dvc.yaml")
SECONDS_BETWEEN_STATES = 10  # epochs take 0.1 seconds and more, and to write a state takes up to 0.02


class State(NamedTuple):
    """A training at the end of an epoch, or between two steps of one; at its own end, with its best weights alone."""

    model: dict[str, Tensor]
    moments: list[dict[str, Tensor]]  # of Adam, one entry a trained parameter
    order: Tensor  # of the generator of the batches, at the start of the epoch to go on with
    history: list[dict[str, float]]  # metrics and times of the epochs so far
    best: dict[str, float]
    weights: dict[str, Tensor]  # of the best epoch
    sums: dict[str, Any]  # loop.Sums over the steps of an epoch that was cancelled, or empty


class StateFile:
    """The newest state of one training and the state before it, in two files; without a path nothing is kept."""

    def __init__(self, path: Path | None, key: str) -> None:
        self.path, self.key, self.saved = path, key, monotonic()

    def due(self) -> bool:
        """Return whether the last state is so old that the end of an epoch is worth another."""
        return monotonic() - self.saved >= SECONDS_BETWEEN_STATES

    def save(self, state: State) -> None:
        """Write a state; the one written last becomes the state before it."""
        if self.path is None:
            return
        content = io.BytesIO()
        content.write(f"{self.key}\n".encode())
        torch.save(state._asdict(), content)
        with atomic(self.path) as part:
            with part.open("wb") as file:
                file.write(_digest(content.getbuffer()) + b"\n")
                file.write(content.getbuffer())
            if self.path.exists():
                os.replace(self.path, _before(self.path))
        self.saved = monotonic()

    def load(self, device: torch.device) -> State | None:
        """Return the newest whole state of this training, on `device`; None, with a line to stderr, of any other."""
        for path in () if self.path is None else (self.path, _before(self.path)):
            if not path.exists():
                continue
            digest, _, rest = path.read_bytes().partition(b"\n")
            key, _, content = rest.partition(b"\n")
            state = read_state(content, device) if digest == _digest(rest) else None
            if not state:
                print(f"{path}: a damaged state; ignored", file=sys.stderr)
            elif key != self.key.encode():
                print(f"{path}: a state of other code, parameters, data, torch or device; ignored", file=sys.stderr)
                return None
            else:
                print(f"{path}: the training goes on after epoch {len(state.history)}", file=sys.stderr)
                return state
        return None


@dataclass(frozen=True)
class States:
    """The folder for the states of a stage's trainings, None to keep none, and the digest of the stage's inputs."""

    folder: Path | None = None
    inputs: str = ""

    def below(self, name: str) -> "States":
        """Return the states of one group of trainings of several."""
        return States(self.folder and self.folder / name, self.inputs)

    def file(self, seed: int, model: nn.Module, recipe: Sequence[Any], rows: Tensor) -> StateFile:
        """Return the file of the training of `model` as it stands, on `rows`, by the values of `recipe`."""
        if self.folder is None:
            return StateFile(None, "")
        return StateFile(self.folder / f"seed{seed}.pt", training_key(self.inputs, seed, model, recipe, rows))


def training_key(inputs: str, seed: int, model: nn.Module, recipe: Sequence[Any], rows: Tensor) -> str:
    """Return the SHA-256 of all that decides a training: `model` as it stands, `rows`, values of `recipe`, `inputs`."""
    key = hashlib.sha256(f"{inputs} {seed} {recipe!r} {model!r}".encode())
    for name, tensor in {"rows": rows, **model.state_dict()}.items():
        key.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}".encode())
        key.update(tensor.detach().cpu().contiguous().numpy().tobytes())
    return key.hexdigest()


def open_states(folder: Path, config: Mapping[str, Any], device: torch.device) -> States:
    """Return the states of the trainings whose results are in `folder`, a run folder of a stage of dvc.yaml.

    `config` holds the parameters of the trainings. No other folder has states: nothing would run the training again.
    """
    deps = _deps(folder.parts[1]) if folder.parts[:1] == RUNS.parts and PIPELINE.exists() else []
    if not deps:
        return States()
    about = [torch.__version__, device.type, device_name(device), precision_name(device)]
    if device.type == "cpu":
        about[2] = torch.backends.cpu.get_cpu_capability()
    files = {str(path): _file_digest(path, *_stamp(path)) for dep in deps for path in _files(Path(dep))}
    text = json.dumps([about, dict(config), files], sort_keys=True, default=str)
    return States(states_folder(folder), hashlib.sha256(text.encode()).hexdigest())


def remove_states(folder: Path) -> None:
    """Remove the states of all trainings whose results are in the run folder `folder` of a stage that ended well."""
    states = states_folder(folder)
    shutil.rmtree(states, ignore_errors=True)
    for parent in (states.parent, STATES):
        if parent.is_dir() and not any(parent.iterdir()):
            parent.rmdir()


def read_state(content: bytes, device: torch.device) -> State | None:
    """Return the state in the content of a file, which only holds tensors and plain containers, or else None."""
    try:
        return State(**torch.load(io.BytesIO(content), map_location=device, weights_only=True))
    except Exception:  # foreign bytes make the reader raise almost anything
        return None


def _digest(content: bytes | memoryview) -> bytes:
    return hashlib.sha256(content).hexdigest().encode()


def _before(path: Path) -> Path:
    return path.with_stem(f"{path.stem}.before")


def _deps(stage: str) -> list[str]:
    """Return what a stage depends on by dvc.yaml: code, prepared arrays, the nets before it."""
    stages = yaml.safe_load(PIPELINE.read_text(encoding="utf-8"))["stages"]
    entry = stages.get(stage, {})
    return list(entry.get("do", entry).get("deps", []))


def _files(path: Path) -> Iterator[Path]:
    """Yield a file, or the files below a folder in order, but for those that Python and editors leave there."""
    if path.is_file():
        yield path
    for each in sorted(path.rglob("*")):
        if each.is_file() and "__pycache__" not in each.parts and not each.name.startswith("."):
            yield each


def _stamp(path: Path) -> tuple[int, int]:
    found = path.stat()
    return found.st_size, found.st_mtime_ns


@cache  # a stage may train many times on large arrays
def _file_digest(path: Path, size: int, mtime_ns: int) -> str:
    return sha256(path)

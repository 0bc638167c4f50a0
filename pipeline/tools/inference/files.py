"""Classes of the files that a user names: find them, pair them, read them, predict in batches.

A broken file becomes an issue in its place; the other files are predicted.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import cache
from itertools import islice
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch

from pipeline.core.sensors import ANGLES, CLASS_NAMES, SENSORS
from pipeline.metrics.inference import collect_outputs
from pipeline.raw.format import DataError, Issue, read_angles, read_depth, read_rgb
from pipeline.tools.inference.deployable import Deployable

READERS: dict[str, Callable[[Path], np.ndarray]] = {"rgb": read_rgb, "lidar": read_depth}


class Prediction(NamedTuple):
    """The predicted class of a file or pair."""

    path: Path
    class_name: str  # cube or sphere
    probability: float  # of that class


def find_files(paths: Iterable[Path], sensors: Sequence[str]) -> Iterator[Path | Issue]:
    """Iterate over the files of the first sensor among `paths` and in the folders among them, each once.

    A file of another sensor stands for its pair. A path that gives no such file becomes an issue.
    """
    suffix, visited = SENSORS[sensors[0]], set()
    for path in paths:
        if not path.exists():
            yield Issue("missing", path, "nothing", "a file or a folder", "check the name")
        elif path.is_dir():
            inside = [file for file in sorted(path.rglob(f"*{suffix}")) if file.stem not in ANGLES]
            yield from [file for file in inside if file not in visited]
            if not inside:
                yield Issue("no-file", path, f"no {suffix} file", "at least one", "name another folder")
            visited.update(inside)
        elif path.suffix in {SENSORS[sensor] for sensor in sensors}:
            first = counterpart(path, sensors[0])
            if first not in visited:
                yield first
            visited.add(first)
        else:
            expected = " with ".join(SENSORS[sensor] for sensor in sensors)
            yield Issue(
                "magic", path, f"a {path.suffix or 'nameless'} file", expected, "name files that this net can see"
            )


def counterpart(path: Path, sensor: str) -> Path:
    """Return the file of `sensor` in the pair of `path`: beside `path`, or in the sensor's folder of the raw layout."""
    beside, raw = path.with_suffix(SENSORS[sensor]), path.parent.parent / sensor / f"{path.stem}{SENSORS[sensor]}"
    return raw if path.parent.name in SENSORS and not beside.exists() else beside


def predict_files(
    net: Deployable, paths: Iterable[Path], batch_size: int, device: torch.device
) -> Iterator[Prediction | Issue]:
    """Iterate over a prediction or an issue for every file, in order; at most `batch_size` files are in memory."""
    files = find_files(paths, net.sensors)
    while batch := list(islice(files, batch_size)):
        results = [file if isinstance(file, Issue) else _read(file, net) for file in batch]
        readable = [
            (file, result)
            for file, result in zip(batch, results, strict=True)
            if not isinstance(file, Issue) and not isinstance(result, Issue)
        ]
        predictions = iter(_predict(net, readable, device) if readable else [])
        yield from (result if isinstance(result, Issue) else next(predictions) for result in results)


def _read(path: Path, net: Deployable) -> list[np.ndarray] | Issue:
    """Return one array per sensor, or the issue of the first broken file."""
    try:
        if "angles" in net.about:
            home = counterpart(path, "lidar").parent.parent
            if _angles(home) not in (None, net.about["angles"]):
                found, expected = "other angles, here or in zenith.npy", "those of the net's training"
                return Issue("angles-differ", home / "azimuth.npy", found, expected, "train one on this sensor")
        return [READERS[sensor](counterpart(path, sensor)) for sensor in net.sensors]
    except DataError as error:
        return error.args[0]


@cache
def _angles(home: Path) -> dict[str, list[float]] | None:
    """Return the angles in a class's folder of the raw layout; None for files that lie elsewhere."""
    if not all((home / f"{name}.npy").exists() for name in ANGLES):
        return None
    return {name: angle.tolist() for name, angle in zip(ANGLES, read_angles(home.parent, home.name), strict=True)}


def _predict(
    net: Deployable, readable: Sequence[tuple[Path, list[np.ndarray]]], device: torch.device
) -> list[Prediction]:
    paths, values = zip(*readable, strict=True)
    batch = [torch.from_numpy(np.stack(each)).to(device) for each in zip(*values, strict=True)]
    logits = collect_outputs(lambda inputs: net.module(*inputs), [batch])
    confidence = logits.abs().sigmoid()
    return [
        Prediction(path, CLASS_NAMES[int(logit > 0)], float(probability))
        for path, logit, probability in zip(paths, logits, confidence, strict=True)
    ]

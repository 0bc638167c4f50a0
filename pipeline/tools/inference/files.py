"""Classes of files that a user names: found, paired, read, predicted in batches. A broken file costs only itself."""

from collections.abc import Iterable, Iterator, Sequence
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

READ = {"rgb": read_rgb, "lidar": read_depth}


class Prediction(NamedTuple):
    """What a net says of one file or pair."""

    path: Path
    name: str  # cube or sphere
    probability: float  # of that class


def find_files(paths: Iterable[Path], sensors: Sequence[str]) -> Iterator[Path | Issue]:
    """Every file of the first sensor among `paths` and below the folders in it; what fits nothing comes as a fault.

    A file of another sensor stands for its pair, and a pair named twice comes once.
    """
    suffix, seen = SENSORS[sensors[0]], set()
    for path in paths:
        if not path.exists():
            yield Issue("missing", path, "nothing", "a file or a folder", "check the name")
        elif path.is_dir():
            inside = [file for file in sorted(path.rglob(f"*{suffix}")) if file.stem not in ANGLES]
            yield from [file for file in inside if file not in seen]
            if not inside:
                yield Issue("no-file", path, f"no {suffix} file", "at least one", "name another folder")
            seen.update(inside)
        elif path.suffix in {SENSORS[sensor] for sensor in sensors}:
            first = counterpart(path, sensors[0])
            if first not in seen:
                yield first
            seen.add(first)
        else:
            wanted = " with ".join(SENSORS[sensor] for sensor in sensors)
            found = f"a {path.suffix or 'nameless'} file"
            yield Issue("magic", path, found, wanted, "name files that this net can see")


def counterpart(path: Path, sensor: str) -> Path:
    """The same pair's file of `sensor`: beside `path`, or where the raw layout has it."""
    beside, raw = path.with_suffix(SENSORS[sensor]), path.parent.parent / sensor / f"{path.stem}{SENSORS[sensor]}"
    return raw if path.parent.name in SENSORS and not beside.exists() else beside


def predict_files(
    shipped: Deployable, paths: Iterable[Path], size: int, device: torch.device
) -> Iterator[Prediction | Issue]:
    """A prediction or a fault for every file, in order, `size` at a time so that memory stays flat."""
    found = find_files(paths, shipped.sensors)
    while part := list(islice(found, size)):
        read = [file if isinstance(file, Issue) else _read(file, shipped) for file in part]
        good = [(file, each) for file, each in zip(part, read, strict=True) if not isinstance(each, Issue)]
        said = iter(_predicted(shipped, good, device) if good else [])
        yield from (each if isinstance(each, Issue) else next(said) for each in read)


def _read(path: Path, shipped: Deployable) -> list[np.ndarray] | Issue:
    """One array a sensor, or what is wrong with the first broken file."""
    try:
        if "angles" in shipped.about:
            home = counterpart(path, "lidar").parent.parent
            if _angles(home) not in (None, shipped.about["angles"]):
                found, expected = "other angles, here or in zenith.npy", "those of the net's training"
                return Issue("angles-differ", home / "azimuth.npy", found, expected, "train one on this sensor")
        return [READ[sensor](counterpart(path, sensor)) for sensor in shipped.sensors]
    except DataError as error:
        return error.args[0]


@cache
def _angles(home: Path) -> dict[str, list[float]] | None:
    """The angles in a class's folder of the raw layout; None for files that lie elsewhere."""
    if not all((home / f"{name}.npy").exists() for name in ANGLES):
        return None
    return {name: angle.tolist() for name, angle in zip(ANGLES, read_angles(home.parent, home.name), strict=True)}


def _predicted(
    shipped: Deployable, pairs: Sequence[tuple[Path, list[np.ndarray]]], device: torch.device
) -> list[Prediction]:
    paths, values = zip(*pairs, strict=True)
    batch = [torch.from_numpy(np.stack(each)).to(device) for each in zip(*values, strict=True)]
    logits = collect_outputs(lambda inputs: shipped.module(*inputs), [batch])
    sure = logits.abs().sigmoid()
    return [
        Prediction(path, CLASS_NAMES[int(logit > 0)], float(probability))
        for path, logit, probability in zip(paths, logits, sure, strict=True)
    ]

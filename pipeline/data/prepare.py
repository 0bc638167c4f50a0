"""Raw pairs -> one array per modality, labels, scenes and the split. Lossless: what comes out is what went in."""

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
from tqdm import tqdm

from pipeline.artifacts import atomic_folder
from pipeline.data.raw import CLASSES, NO_RETURN, SIZE, Pair, check, read_angles, read_depth, read_rgb
from pipeline.data.split import SPLITS, write_split
from pipeline.errors import PipelineError


def prepare(source: Path, folder: Path, split: Callable[[Sequence[int]], dict[int, str]]) -> dict:
    """Write the arrays of the raw folder `source` to `folder` and return the data metrics.

    `split` names the split of every scene. Raises PipelineError, and writes nothing, if the raw folder has a fault.
    The arrays: rgb (N, H, W, 4) uint8, depth (N, H, W) float32, label (N,) uint8, azimuth (H,) and zenith (W,)
    float32, returns (2,) float32: mean and standard deviation of the training split's hits.
    """
    pairs = check(source)
    labels, scenes = [pair.label for pair in pairs], [pair.scene for pair in pairs]
    splits = split(scenes)
    with atomic_folder(folder) as part:
        depth = _write_pictures(pairs, part)
        azimuth, zenith = read_angles(source, CLASSES[0])  # check() saw that both classes have the same
        training = np.array([splits[scene] == "train" for scene in scenes])
        arrays = {"label": np.array(labels, np.uint8), "azimuth": azimuth, "zenith": zenith}
        for name, array in (arrays | {"returns": _returns(depth, training)}).items():
            np.save(part / f"{name}.npy", array, allow_pickle=False)
        write_split(part / "split.tsv", labels, scenes, splits)
        return _metrics(depth, labels, [splits[scene] for scene in scenes])


def _write_pictures(pairs: Sequence[Pair], folder: Path) -> np.ndarray:
    """Stream both modalities to disk; returns the depth array, still memory-mapped."""
    create = np.lib.format.open_memmap
    rgb = create(folder / "rgb.npy", mode="w+", dtype=np.uint8, shape=(len(pairs), SIZE, SIZE, 4))
    depth = create(folder / "depth.npy", mode="w+", dtype=np.float32, shape=(len(pairs), SIZE, SIZE))
    for row, pair in enumerate(tqdm(pairs, desc="prepare", unit="pair", disable=None)):
        rgb[row] = read_rgb(pair.rgb)
        depth[row] = read_depth(pair.lidar)
    rgb.flush()
    depth.flush()
    return depth


def _returns(depth: np.ndarray, training: np.ndarray) -> np.ndarray:
    """Mean and standard deviation (2,) of all hits of the training frames, a frame at a time to keep memory flat."""
    count, total, squares = 0, 0.0, 0.0
    for row in np.flatnonzero(training):
        hits = depth[row][depth[row] < NO_RETURN].astype(np.float64)
        count, total, squares = count + hits.size, total + hits.sum(), squares + (hits**2).sum()
    if not count:
        raise PipelineError("no LiDAR frame of the training split has a return (depth under 50): check the lidar files")
    mean = total / count
    return np.array([mean, np.sqrt(squares / count - mean**2)], np.float32)


def _metrics(depth: np.ndarray, labels: Sequence[int], splits: Sequence[str]) -> dict:
    """Pairs per split and class, returns per frame and the range of hits per class."""
    label, split = np.array(labels), np.array(splits)
    metrics: dict = {"pairs": len(label)}
    for name in SPLITS:
        metrics[name] = {kind: int(np.sum((split == name) & (label == i))) for i, kind in enumerate(CLASSES)}
    for i, kind in enumerate(CLASSES):
        frames = depth[label == i]
        hit = frames < NO_RETURN
        if not hit.any():
            raise PipelineError(f"no LiDAR frame of {kind} has a return (depth under 50): mend {kind}/lidar")
        returns = hit.sum(axis=(1, 2))
        metrics[kind] = {
            "returns_min": int(returns.min()),
            "returns_mean": round(float(returns.mean()), 2),
            "returns_max": int(returns.max()),
            "depth_min": round(float(frames[hit].min()), 3),
            "depth_mean": round(float(frames[hit].mean(dtype=np.float64)), 3),
            "depth_max": round(float(frames[hit].max()), 3),
        }
    return metrics

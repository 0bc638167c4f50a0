"""Prepared arrays and the batches cut from them. No PNG decoding, no files but those that prepare wrote.

N pairs, R requested rows, B batch. On a CPU the arrays stay memory-mapped; a GPU holds them whole (32 KB a pair).
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import Tensor

from pipeline.core.errors import PipelineError
from pipeline.core.files import read_npy
from pipeline.data.geometry import ray_directions, xyza
from pipeline.data.splits import read_splits


class Batch(NamedTuple):
    """Pairs as nets take them."""

    rgb: Tensor  # (B, 4, H, W) RGBA in [0, 1]
    lidar: Tensor  # (B, 4, H, W) x, y, z, mask, or (B, 1, H, W) depth; Omniverse units
    label: Tensor  # (B,) 0.0 cube, 1.0 sphere


class Examples(NamedTuple):
    """Inputs with their targets: pictures and labels, or vectors that a frozen net has computed once."""

    inputs: Tensor  # (B, ...)
    targets: Tensor  # (B, ...)

    def rows(self, rows: Tensor) -> "Examples":
        """Return the examples of `rows` as a batch."""
        return Examples(self.inputs.index_select(0, rows), self.targets.index_select(0, rows))


BatchFn = Callable[[Tensor], Any]  # row numbers -> a batch


@dataclass(frozen=True)
class Arrays:
    """Hold all pairs of the prepared data set."""

    rgb: Tensor  # (N, H, W, 4) uint8
    depth: Tensor  # (N, H, W) float32, 50 = no return
    label: Tensor  # (N,) float32
    angles: dict[str, list[float]]  # azimuth of each row, zenith of each column; radians
    rays: Tensor  # (3, H, W) unit vectors
    splits: dict[str, Tensor]  # split name -> rows
    rgb_mean: list[float]  # mean of red, green, blue of the training pixels, in [0, 1]
    rgb_std: list[float]  # their standard deviations
    depth_mean: float  # mean depth of the training returns
    depth_std: float  # their standard deviation

    @property
    def depth_stats(self) -> dict[str, float]:
        """Return mean and standard deviation of the training returns, by the names that nets take."""
        return {"depth_mean": self.depth_mean, "depth_std": self.depth_std}

    @property
    def input_stats(self) -> dict[str, Any]:
        """Return mean and standard deviation of both sensors in the training split, by the names that nets take."""
        return {"rgb_mean": self.rgb_mean, "rgb_std": self.rgb_std} | self.depth_stats

    @property
    def all_rows(self) -> Tensor:
        """Return the rows of all pairs, in order: (N,)."""
        return torch.arange(len(self.label), device=self.label.device)

    def scene_pairs(self, split: str) -> Tensor:
        """Return the rows of a split by scene: (S, 2), a cube and the sphere of equal place and colour."""
        rows = self.splits[split]
        return torch.stack([rows[self.label[rows] == 0], rows[self.label[rows] == 1]], dim=1)

    def sample_labelled(self, split: str, count: int, seed: int) -> Tensor:
        """Draw `count` rows of a split by `seed`, as many cubes as spheres: (count,)."""
        generator, rows = torch.Generator().manual_seed(seed), self.splits[split]
        classes = [rows[self.label[rows] == label] for label in (0, 1)]
        return torch.cat(
            [each[torch.randperm(len(each), generator=generator)[: count // 2].to(each.device)] for each in classes]
        )

    def sample_scenes(self, split: str, count: int, seed: int) -> Tensor:
        """Draw `count` scenes of a split by `seed`; return the rows of the cube and the sphere of each: (2 count,)."""
        scene_pairs = self.scene_pairs(split)
        order = torch.randperm(len(scene_pairs), generator=torch.Generator().manual_seed(seed))
        return scene_pairs[order[:count].to(scene_pairs.device)].flatten()

    def with_xyza(self, rows: Tensor) -> Batch:
        """Return a batch with LiDAR as points and mask (B, 4, H, W): the input of fusion nets."""
        return self._batch(rows, xyza(self.depth.index_select(0, rows), self.rays))

    def with_depth(self, rows: Tensor) -> Batch:
        """Return a batch with LiDAR as raw depth (B, 1, H, W): the input of CILP nets."""
        return self._batch(rows, self.depth.index_select(0, rows).unsqueeze(1))  # (B, 1, H, W)

    def with_label(self, rows: Tensor) -> Examples:
        """Return pictures (B, 4, H, W) and labels (B,): the input of nets without LiDAR."""
        return Examples(self._images(rows), self.label[rows])

    def _batch(self, rows: Tensor, lidar: Tensor) -> Batch:
        lidar = lidar.contiguous(memory_format=torch.channels_last)
        return Batch(self._images(rows), lidar, self.label[rows])

    def _images(self, rows: Tensor) -> Tensor:
        # index_select copies whole rows, ten times as fast as indexing by a tensor
        return to_image_tensor(self.rgb.index_select(0, rows))


def to_image_tensor(rgb: Tensor) -> Tensor:
    """Convert (B, H, W, 4) uint8 as in a PNG file to (B, 4, H, W) float32 in [0, 1], channels last in memory."""
    return rgb.permute(0, 3, 1, 2).float() / 255


def load_arrays(folder: Path, device: torch.device) -> Arrays:
    """Map the arrays in `folder` to memory, or copy them to a GPU; raises PipelineError if one is absent or broken."""

    def tensor(name: str) -> Tensor:
        # copy on write: torch wants memory it could write to, and the file stays as it is
        return torch.from_numpy(read_npy(folder / f"{name}.npy", mmap_mode="c")).to(device)

    rgb, depth, label = tensor("rgb"), tensor("depth"), tensor("label").float()
    azimuth, zenith = tensor("azimuth"), tensor("zenith")
    splits = {name: torch.tensor(rows).to(device) for name, rows in read_splits(folder / "split.tsv").items()}
    rgb_mean, rgb_std = tensor("colors").tolist()
    depth_mean, depth_std = tensor("returns").tolist()
    pairs = sum(len(rows) for rows in splits.values())
    if {len(rgb), len(depth), len(label)} != {pairs}:
        found = f"{len(rgb)} rgb, {len(depth)} depth, {len(label)} labels, {pairs} in split.tsv"
        raise PipelineError(f"{folder}: found {found}; expected as many of each; run `dvc repro -f prepare`")
    angles = {"azimuth": azimuth.tolist(), "zenith": zenith.tolist()}
    stats = rgb_mean, rgb_std, depth_mean, depth_std
    return Arrays(rgb, depth, label, angles, ray_directions(azimuth, zenith), splits, *stats)


EVAL_BATCH_SIZE = 64  # pairs in a batch of every evaluation: one size, since kernels round by the batch's shape


class Batches:
    """Cut rows into batches of about `size`, the last one as large as what is left; `batch_fn` turns rows into a batch.

    rows: (R,), or (G, K) for groups that must share a batch.
    """

    def __init__(self, batch_fn: BatchFn, rows: Tensor, size: int = EVAL_BATCH_SIZE) -> None:
        self.batch_fn = batch_fn
        self.groups = rows.reshape(len(rows), -1)  # (G, K)
        self.count = max(1, size // self.groups.shape[1])  # groups in a batch

    @property
    def rows(self) -> Tensor:
        """Return all rows (R,) in the order of evaluation."""
        return self.groups.flatten()

    def __len__(self) -> int:
        return -(-len(self.groups) // self.count)

    def __iter__(self) -> Iterator[Any]:
        """Yield the batches in order, for evaluation."""
        return (self.batch_fn(part.flatten()) for part in self.groups.split(self.count))

    def shuffled(self, generator: torch.Generator) -> Iterator[Tensor]:
        """Yield the rows (B,) of each batch in an order drawn from `generator`, for training."""
        order = torch.randperm(len(self.groups), generator=generator).to(self.groups.device)
        return (part.flatten() for part in self.groups[order].split(self.count))

"""The course's recipe, as the public solutions of the "CILP assessment" have it: the baseline of the benchmarks.

Nets in float32 with channels first, eager steps of Adam on batches of 32 that a DataLoader collates from single pairs,
the points of a pair computed when it is asked for, and a wait for the loss at every step. Nothing of the project's own
training is used. Shapes: B batch, C channels, H, W.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice, pairwise
from time import thread_time
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.utils.data import DataLoader, Dataset

BATCH_SIZE = 32
NO_RETURN = 50.0  # the depth of a ray without return
SIDE = 64  # pixels of a picture
PARAMETERS = {
    "concat": 914_201,
    "add": 824_201,
    "hadamard": 824_201,
    "late": 1_415_051,
    "concat_wide": 13_015_851,
    "rgb": 707_626,
    "lidar": 707_626,
    "lidar_classifier": 906_201,
    "cilp": 1_853_950,
}


@dataclass(frozen=True)
class CourseRecipe:
    """A learning rate, constant or falling by a cosine to `final_lr` over `epochs`, epoch by epoch."""

    name: str
    lr: float
    epochs: int
    final_lr: float | None = None


CONSTANT = CourseRecipe("1e-4 constant", 1e-4, 20)
COSINE = CourseRecipe("1e-3 cosine", 1e-3, 20, final_lr=1e-6)


class Sensors(NamedTuple):
    """The pairs of a split in memory, one tensor each, and the angles of the LiDAR in radians."""

    rgb: list[Tensor]  # (4, H, W) float32 in [0, 1]
    depth: list[Tensor]  # (H, W) float32
    label: list[float]
    azimuth: Tensor  # (H,)
    zenith: Tensor  # (W,)


class PointPairs(Dataset):
    """Pairs with the LiDAR as points and mask, computed pair by pair."""

    def __init__(self, sensors: Sensors) -> None:
        self.sensors = sensors

    def __len__(self) -> int:
        return len(self.sensors.label)

    def __getitem__(self, place: int) -> tuple[Tensor, Tensor, Tensor]:
        """Return RGBA (4, H, W), LiDAR (C, H, W) and the label ()."""
        return self.sensors.rgb[place], self.lidar(place), torch.tensor(self.sensors.label[place])

    def lidar(self, place: int) -> Tensor:
        """Return x, y, z and mask of a pair: (4, H, W)."""
        return to_points(self.sensors.depth[place], self.sensors.azimuth, self.sensors.zenith)


class DepthPairs(PointPairs):
    """Pairs with the LiDAR as raw depth."""

    def lidar(self, place: int) -> Tensor:
        """Return the depth of a pair: (1, H, W)."""
        return self.sensors.depth[place].unsqueeze(0)


def to_points(depth: Tensor, azimuth: Tensor, zenith: Tensor) -> Tensor:
    """Compute x, y, z and mask of one depth map: (H, W), angles (H,) and (W,) in radians -> (4, H, W)."""
    rows, columns = torch.meshgrid(azimuth, zenith, indexing="ij")  # (H, W)
    x = -depth * torch.sin(rows) * torch.cos(columns)
    y = depth * torch.cos(rows) * torch.cos(columns)
    z = -depth * torch.sin(columns)
    return torch.stack([x, y, z, (depth < NO_RETURN).float()])


def convolutions(channels: Sequence[int], downsample: str) -> list[nn.Module]:
    """Build 3x3 convolutions with ReLU; each halves H and W by a MaxPool (`maxpool`) or its own stride (`strided`)."""
    stride = {"maxpool": 1, "strided": 2}[downsample]
    layers: list[nn.Module] = []
    for ins, outs in pairwise(channels):
        layers += [nn.Conv2d(ins, outs, 3, stride=stride, padding=1), nn.ReLU()]
        layers += [nn.MaxPool2d(2)] if stride == 1 else []
    return layers


def linears(dims: Sequence[int]) -> list[nn.Module]:
    """Build linear layers with ReLU between them, none after the last."""
    layers: list[nn.Module] = []
    for ins, outs in pairwise(dims):
        layers += [nn.Linear(ins, outs), nn.ReLU()]
    return layers[:-1]


class Intermediate(nn.Module):
    """Join the feature maps of both sensors, then classify: one logit a pair."""

    def __init__(
        self, join: str, downsample: str, channels: Sequence[int], shared: Sequence[int], head: Sequence[int]
    ) -> None:
        super().__init__()
        self.join = join
        self.rgb = nn.Sequential(*convolutions([4, *channels], downsample))
        self.lidar = nn.Sequential(*convolutions([4, *channels], downsample))
        widths = [channels[-1] * (2 if join == "concat" else 1), *shared]
        side = SIDE >> len(channels) + len(shared)
        layers = [*convolutions(widths, downsample), nn.Flatten(), *linears([widths[-1] * side * side, *head, 1])]
        self.head = nn.Sequential(*layers)

    def forward(self, rgb: Tensor, lidar: Tensor) -> Tensor:
        """Return logits (B,): (B, 4, 64, 64) twice."""
        first, second = self.rgb(rgb), self.lidar(lidar)
        if self.join == "concat":
            return self.head(torch.cat((first, second), 1)).squeeze(1)
        return self.head(first + second if self.join == "add" else first * second).squeeze(1)


def embedder(ins: int, channels: Sequence[int], downsample: str, dims: Sequence[int]) -> nn.Sequential:
    """Build convolutions and linear layers: (B, ins, 64, 64) -> (B, dims[-1])."""
    side = SIDE >> len(channels)
    trunk = convolutions([ins, *channels], downsample)
    return nn.Sequential(*trunk, nn.Flatten(), *linears([channels[-1] * side * side, *dims]))


class Late(nn.Module):
    """Embed each sensor in 100 values, then classify both vectors: one logit a pair."""

    def __init__(self, downsample: str) -> None:
        super().__init__()
        self.rgb = embedder(4, [25, 50, 100], downsample, [100])
        self.lidar = embedder(4, [25, 50, 100], downsample, [100])
        self.head = nn.Sequential(*linears([200, 100, 1]))

    def forward(self, rgb: Tensor, lidar: Tensor) -> Tensor:
        """Return logits (B,): (B, 4, 64, 64) twice."""
        return self.head(torch.cat((self.rgb(rgb), self.lidar(lidar)), 1)).squeeze(1)


class OneSensor(nn.Module):
    """Classify by one sensor: 0 is RGB, 1 is LiDAR."""

    def __init__(self, sensor: int, layers: nn.Sequential) -> None:
        super().__init__()
        self.sensor = sensor
        self.layers = layers

    def forward(self, *sensors: Tensor) -> Tensor:
        """Return logits (B,)."""
        return self.layers(sensors[self.sensor]).squeeze(1)


class Contrast(nn.Module):
    """Embed RGB and raw depth as unit vectors of 200 values."""

    def __init__(self) -> None:
        super().__init__()
        self.rgb = embedder(4, [50, 100, 200, 200], "maxpool", [100, 200])
        self.lidar = embedder(1, [50, 100, 200, 200], "maxpool", [100, 200])

    def forward(self, rgb: Tensor, depth: Tensor) -> tuple[Tensor, Tensor]:
        """Return unit rows (B, 200) of both sensors."""
        return F.normalize(self.rgb(rgb)), F.normalize(self.lidar(depth))


def build_net(name: str, downsample: str = "maxpool") -> nn.Module:
    """Build a public net by its name in PARAMETERS."""
    if name in ("concat", "add", "hadamard"):
        return Intermediate(name, downsample, [50, 100], [100], [100])
    if name == "concat_wide":
        return Intermediate("concat", downsample, [25, 50, 100], [], [1000, 100])
    if name == "lidar_classifier":
        return OneSensor(1, embedder(1, [50, 100, 200, 200], downsample, [100, 1]))
    if name in ("rgb", "lidar"):
        head = [100, 100, 1]
        layers = nn.Sequential(*embedder(4, [25, 50, 100], downsample, head[:1]), *linears(head))
        return OneSensor(("rgb", "lidar").index(name), layers)
    return Late(downsample) if name == "late" else Contrast()


def classification_loss(net: nn.Module, rgb: Tensor, lidar: Tensor, label: Tensor) -> Tensor:
    """Return binary cross-entropy."""
    return F.binary_cross_entropy_with_logits(net(rgb, lidar), label)


def contrastive_loss(net: nn.Module, rgb: Tensor, lidar: Tensor, label: Tensor) -> Tensor:
    """Return symmetric cross-entropy of the cosine similarities, mapped to [0, 1], without a temperature."""
    first, second = net(rgb, lidar)
    logits, own = (first @ second.T + 1) / 2, torch.arange(len(label))
    return (F.cross_entropy(logits, own) + F.cross_entropy(logits.T, own)) / 2


Loss = Callable[[nn.Module, Tensor, Tensor, Tensor], Tensor]


def train(net: nn.Module, pairs: PointPairs, loss_fn: Loss, recipe: CourseRecipe, steps: int | None) -> Iterator[float]:
    """Train epoch by epoch, and yield each epoch's seconds of this thread; `steps` cuts an epoch short."""
    optimizer = torch.optim.Adam(net.parameters(), lr=recipe.lr)
    final = recipe.lr if recipe.final_lr is None else recipe.final_lr
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, recipe.epochs, eta_min=final)
    loader = DataLoader(pairs, BATCH_SIZE, shuffle=True, drop_last=True)
    for _ in range(recipe.epochs):
        net.train()
        start, total = thread_time(), 0.0
        for rgb, lidar, label in islice(loader, steps):
            optimizer.zero_grad()
            loss = loss_fn(net, rgb, lidar, label)
            loss.backward()
            optimizer.step()
            total += loss.item()
        schedule.step()
        yield thread_time() - start

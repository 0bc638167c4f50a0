"""Contrastive image-LiDAR pretraining: two embedders, the LiDAR classifier, and the way from RGB into its space.

The LiDAR classifier has the layer names of the course's `lidar_cnn.pt`; all LiDAR input here is raw depth, one channel.
"""

from collections.abc import Sequence
from math import log

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from pipeline.models.encoders import SIZE, Standardise, flat_size, mlp, trunk

MAX_SCALE = 100.0  # the cap of CLIP (Radford et al. 2021): a colder softmax made training unstable


class Embedder(nn.Module):
    """A picture as one unit vector."""

    def __init__(self, channels: int, branch: Sequence[int], hidden: Sequence[int], embed: int, norm: str) -> None:
        super().__init__()
        widths = [channels, *branch]
        head = mlp([flat_size(SIZE, widths), *hidden, embed])
        self.features = nn.Sequential(trunk(widths, norm=norm), nn.Flatten(), head)

    def forward(self, picture: Tensor) -> Tensor:
        """(B, C, 64, 64) -> (B, D), each row of length 1."""
        return F.normalize(self.features(picture).float(), dim=1)


class CILP(nn.Module):
    """Two embedders and the learned temperature of their similarities.

    Depth is seen from `centre`, in units of `spread`; the defaults take it raw, as the course does.
    """

    def __init__(
        self,
        branch: Sequence[int],
        hidden: Sequence[int],
        embed: int,
        temperature: float,
        norm: str = "none",
        centre: float = 0.0,
        spread: float = 1.0,
    ) -> None:
        super().__init__()
        self.rgb = Embedder(4, branch, hidden, embed, norm)
        self.lidar = nn.Sequential(Standardise([centre], [spread]), Embedder(1, branch, hidden, embed, norm))
        self.log_scale = nn.Parameter(torch.tensor(-log(temperature)))

    @property
    def scale(self) -> Tensor:
        """1 / temperature, at most MAX_SCALE."""
        return self.log_scale.exp().clamp(max=MAX_SCALE)

    def forward(self, rgb: Tensor, depth: Tensor) -> tuple[Tensor, Tensor]:
        """(B, 4, 64, 64) RGBA in [0, 1], (B, 1, 64, 64) depth -> two (B, D) of unit rows."""
        return self.rgb(rgb), self.lidar(depth)


class LidarClassifier(nn.Module):
    """Sphere or cube from depth alone: `embedder` to a flat vector, `classifier` to one logit.

    Depth is seen from `centre`, in units of `spread`; the defaults take it raw, as the course's weights expect.
    """

    def __init__(self, branch: Sequence[int], head: Sequence[int], centre: float = 0.0, spread: float = 1.0) -> None:
        super().__init__()
        widths = [1, *branch]
        self.standardise = Standardise([centre], [spread])
        self.embedder = nn.Sequential(*trunk(widths), nn.Flatten())  # flat, so that the keys are the course's
        self.classifier = mlp([flat_size(SIZE, widths), *head, 1])

    def forward(self, depth: Tensor) -> Tensor:
        """(B, 1, 64, 64) depth, 50 = no return -> (B,) logits, above 0 means sphere."""
        return self.classifier(self.features(depth)).squeeze(1)

    def features(self, depth: Tensor) -> Tensor:
        """(B, 1, 64, 64) depth -> (B, F): the space that the projector aims at."""
        return self.embedder(self.standardise(depth))


def build_projector(embed: int, hidden: Sequence[int], target: int) -> nn.Sequential:
    """RGB embedding (B, embed) -> LiDAR features (B, target)."""
    return mlp([embed, *hidden, target])


class FromEmbedding(nn.Module):
    """What follows the RGB embedder: the projector into the LiDAR net's space, and the LiDAR net's head."""

    def __init__(self, projector: nn.Module, classifier: nn.Module) -> None:
        super().__init__()
        self.projector = projector
        self.classifier = classifier

    def forward(self, embedding: Tensor) -> Tensor:
        """(B, D) -> (B,) logits, above 0 means sphere."""
        return self.classifier(self.projector(embedding)).squeeze(1)


class RgbToLidar(nn.Module):
    """Classes of the LiDAR net from RGB alone."""

    def __init__(self, embedder: nn.Module, tail: FromEmbedding) -> None:
        super().__init__()
        self.embedder = embedder
        self.tail = tail

    def forward(self, rgb: Tensor) -> Tensor:
        """(B, 4, 64, 64) RGBA in [0, 1] -> (B,) logits, above 0 means sphere."""
        return self.tail(self.embedder(rgb))


class RgbClassifier(nn.Module):
    """Sphere or cube from RGB, from scratch: what the way through LiDAR is compared with."""

    def __init__(self, branch: Sequence[int], head: Sequence[int], norm: str = "none") -> None:
        super().__init__()
        widths = [4, *branch]
        self.layers = nn.Sequential(trunk(widths, norm=norm), nn.Flatten(), mlp([flat_size(SIZE, widths), *head, 1]))

    def forward(self, rgb: Tensor) -> Tensor:
        """(B, 4, 64, 64) RGBA in [0, 1] -> (B,) logits, above 0 means sphere."""
        return self.layers(rgb).squeeze(1)

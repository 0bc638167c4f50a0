"""Contrastive image-LiDAR pretraining: two embedders, the LiDAR classifier, and the way from RGB into its space.

The LiDAR classifier has the layer names of the course's `lidar_cnn.pt`; all LiDAR input here is raw depth, one channel.
Shapes: B batch, C channels, D embedding, F features of the LiDAR classifier. Logits above 0 mean sphere.
"""

from collections.abc import Sequence
from math import log

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from pipeline.core.sensors import IMAGE_SIZE, RGB_CHANNELS
from pipeline.models.blocks import Normalize, conv_trunk, flattened_size, mlp

MAX_LOGIT_SCALE = 100.0  # the cap of CLIP (Radford et al. 2021): a colder softmax made training unstable


class Embedder(nn.Module):
    """Embed a picture as a unit vector."""

    def __init__(
        self, in_channels: int, channels: Sequence[int], hidden_dims: Sequence[int], embed_dim: int, norm: str
    ) -> None:
        super().__init__()
        widths = [in_channels, *channels]
        head = mlp([flattened_size(IMAGE_SIZE, widths), *hidden_dims, embed_dim])
        self.features = nn.Sequential(conv_trunk(widths, norm=norm), nn.Flatten(), head)

    def forward(self, picture: Tensor) -> Tensor:
        """Return unit rows: (B, C, 64, 64) -> (B, D)."""
        return F.normalize(self.features(picture).float(), dim=1)


class CILP(nn.Module):
    """Two embedders and the learned temperature of their similarities.

    Depth is centred at `depth_mean` and scaled by `depth_std`; the defaults take it raw, as the course does.
    """

    def __init__(
        self,
        channels: Sequence[int],
        hidden_dims: Sequence[int],
        embed_dim: int,
        temperature: float,
        norm: str = "none",
        depth_mean: float = 0.0,
        depth_std: float = 1.0,
    ) -> None:
        super().__init__()
        self.rgb = Embedder(RGB_CHANNELS, channels, hidden_dims, embed_dim, norm)
        depth = Normalize([depth_mean], [depth_std])
        self.lidar = nn.Sequential(depth, Embedder(1, channels, hidden_dims, embed_dim, norm))
        self.log_logit_scale = nn.Parameter(torch.tensor(-log(temperature)))

    @property
    def logit_scale(self) -> Tensor:
        """Return 1 / temperature, at most MAX_LOGIT_SCALE."""
        return self.log_logit_scale.exp().clamp(max=MAX_LOGIT_SCALE)

    def forward(self, rgb: Tensor, depth: Tensor) -> tuple[Tensor, Tensor]:
        """Return two (B, D) of unit rows: (B, 4, 64, 64) RGBA in [0, 1], (B, 1, 64, 64) depth."""
        return self.rgb(rgb), self.lidar(depth)


class LidarClassifier(nn.Module):
    """Classify depth alone: `embedder` to a flat vector, `classifier` to one logit.

    Depth is centred at `depth_mean` and scaled by `depth_std`; the defaults take it raw: so do the course's weights.
    """

    def __init__(
        self, channels: Sequence[int], head_dims: Sequence[int], depth_mean: float = 0.0, depth_std: float = 1.0
    ) -> None:
        super().__init__()
        widths = [1, *channels]
        self.normalize = Normalize([depth_mean], [depth_std])
        self.embedder = nn.Sequential(*conv_trunk(widths), nn.Flatten())  # flat, so that the keys are the course's
        self.classifier = mlp([flattened_size(IMAGE_SIZE, widths), *head_dims, 1])

    def forward(self, depth: Tensor) -> Tensor:
        """Return logits: (B, 1, 64, 64) depth, 50 = no return -> (B,)."""
        return self.classifier(self.features(depth)).squeeze(1)

    def features(self, depth: Tensor) -> Tensor:
        """Return the features that the projector aims at: (B, 1, 64, 64) depth -> (B, F)."""
        return self.embedder(self.normalize(depth))


def build_projector(embed_dim: int, hidden_dims: Sequence[int], target_dim: int) -> nn.Sequential:
    """Build the projector from RGB embeddings to LiDAR features: (B, embed_dim) -> (B, target_dim)."""
    return mlp([embed_dim, *hidden_dims, target_dim])


class ProjectedClassifier(nn.Module):
    """Classify an RGB embedding: project it into the LiDAR classifier's space, then apply that classifier's head."""

    def __init__(self, projector: nn.Module, classifier: nn.Module) -> None:
        super().__init__()
        self.projector = projector
        self.classifier = classifier

    def forward(self, embedding: Tensor) -> Tensor:
        """Return logits: (B, D) -> (B,)."""
        return self.classifier(self.projector(embedding)).squeeze(1)


class CrossModalClassifier(nn.Module):
    """Predict the classes of the LiDAR classifier from RGB alone."""

    def __init__(self, embedder: nn.Module, tail: ProjectedClassifier) -> None:
        super().__init__()
        self.embedder = embedder
        self.tail = tail

    def forward(self, rgb: Tensor) -> Tensor:
        """Return logits: (B, 4, 64, 64) RGBA in [0, 1] -> (B,)."""
        return self.tail(self.embedder(rgb))


class RgbClassifier(nn.Module):
    """Classify RGB alone, from scratch: the baseline of the way through LiDAR."""

    def __init__(self, channels: Sequence[int], head_dims: Sequence[int], norm: str = "none") -> None:
        super().__init__()
        widths = [RGB_CHANNELS, *channels]
        trunk = conv_trunk(widths, norm=norm)
        self.layers = nn.Sequential(trunk, nn.Flatten(), mlp([flattened_size(IMAGE_SIZE, widths), *head_dims, 1]))

    def forward(self, rgb: Tensor) -> Tensor:
        """Return logits: (B, 4, 64, 64) RGBA in [0, 1] -> (B,)."""
        return self.layers(rgb).squeeze(1)

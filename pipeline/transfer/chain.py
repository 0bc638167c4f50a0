"""The chain from LiDAR classifier to RGB classifier: loaded from checkpoints, or built untrained."""

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import torch
from torch import nn

from pipeline.core.checkpoints import load_checkpoint, restore
from pipeline.core.device import Net, build_seeded, to_device
from pipeline.core.runs import RUNS, checkpoint_path
from pipeline.models.cilp import CILP, CrossModalClassifier, LidarClassifier, ProjectedClassifier, build_projector


class Chain(NamedTuple):
    """The nets of one seed, each under the name of its stage."""

    lidar: LidarClassifier
    cilp: CILP
    project: nn.Module

    def classifier(self) -> CrossModalClassifier:
        """Return the zero-shot classifier: CILP's RGB embedder, the projector, the LiDAR net's head."""
        return CrossModalClassifier(self.cilp.rgb, ProjectedClassifier(self.project, self.lidar.classifier))


def build_chain(nets: Mapping[str, Mapping[str, Any]]) -> Chain:
    """Build the nets of a chain from the arguments of each, by the names of their stages."""
    return Chain(LidarClassifier(**nets["lidar"]), CILP(**nets["cilp"]), build_projector(**nets["project"]))


def build_classifier(**nets: Mapping[str, Any]) -> CrossModalClassifier:
    """Build an RGB classifier from the arguments of the nets it consists of, as its checkpoint describes them."""
    return build_chain(nets).classifier()


def load_part(stage: str, build: Callable[..., Net], seed: int, device: torch.device) -> Net:
    """Load the net of one stage; raises PipelineError if its checkpoint is absent or of another kind."""
    return restore(checkpoint_path(RUNS / stage, seed), stage, build, device)


def load_chain(seed: int, device: torch.device) -> Chain:
    """Load all nets of the chain from the checkpoints of their stages."""
    return Chain(
        load_part("lidar", LidarClassifier, seed, device),
        load_part("cilp", CILP, seed, device),
        load_part("project", build_projector, seed, device),
    )


def load_classifier(tuning: str, seed: int, device: torch.device) -> CrossModalClassifier:
    """Load the RGB classifier of one tuning; raises PipelineError if its checkpoint is absent or of another kind."""
    return restore(checkpoint_path(RUNS / "classify" / tuning, seed), "classify", build_classifier, device)


def read_descriptions(seed: int) -> dict[str, dict[str, Any]]:
    """Return the description in the checkpoint of each net, by the name of its stage."""
    return {stage: load_checkpoint(checkpoint_path(RUNS / stage, seed))[1] for stage in Chain._fields}


def build_untrained_chain(nets: Mapping[str, Mapping[str, Any]], seed: int, device: torch.device) -> Chain:
    """Build the nets that `nets` describes, with initial weights drawn from `seed`."""
    chain = build_seeded(seed, lambda: build_chain(nets))
    for net in chain:
        to_device(net, device).eval()
    return chain

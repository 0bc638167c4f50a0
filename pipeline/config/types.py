"""The values of which params.yaml is made: names, bounded numbers, the shapes of nets, the recipe of a training."""

from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BeforeValidator, ConfigDict, Field, model_validator
from pydantic.dataclasses import dataclass

FusionName = Literal[
    "rgb", "lidar", "early", "late", "late_frozen", "concat", "add", "hadamard", "matmul", "gated", "attention"
]
DownsampleName = Literal["maxpool", "strided", "strided_extra"]
NormName = Literal["none", "batch"]
TuningName = Literal["projector_only", "full"]


def no_bool(value: Any) -> Any:
    if isinstance(value, bool):
        raise ValueError("expected a number")
    return value


def distinct(values: list) -> list:
    if len(set(values)) < len(values):
        raise ValueError("expected each of them once")
    return values


# Floats may come as strings: DVC writes 1e-05, which YAML 1.1 does not take for a number.
PositiveFloat = Annotated[float, BeforeValidator(no_bool), Field(gt=0, allow_inf_nan=False)]
PositiveInt = Annotated[int, Field(strict=True, gt=0)]
Seed = Annotated[int, Field(strict=True, ge=0, lt=2**63)]
Share = Annotated[float, BeforeValidator(no_bool), Field(gt=0, lt=1)]
Widths = list[PositiveInt]
Severities = Annotated[list[PositiveFloat], Field(min_length=1), AfterValidator(distinct)]
Portions = Annotated[list[Annotated[PositiveFloat, Field(le=1)]], Field(min_length=1), AfterValidator(distinct)]
Branch = Annotated[Widths, Field(min_length=1, max_length=6)]  # each width halves the 64 pixels
STRICT = ConfigDict(extra="forbid")


@dataclass(frozen=True, config=STRICT)
class LateNet:
    """Each modality alone down to a vector of `embed_dim` values; the vectors meet in the head, or one goes there alone."""

    channels: Branch
    embed_dim: PositiveInt
    head_dims: Widths


@dataclass(frozen=True, config=STRICT)
class EarlyNet:
    """Both modalities stacked before the first convolution."""

    channels: Branch
    head_dims: Widths


@dataclass(frozen=True, config=STRICT)
class IntermediateNet:
    """Feature maps meet after `channels`; convolutions `shared_channels` and the head follow."""

    channels: Branch
    shared_channels: Widths
    head_dims: Widths

    @model_validator(mode="after")
    def _leave_a_pixel(self) -> "IntermediateNet":
        if len(self.channels) + len(self.shared_channels) > 6:
            raise ValueError("channels and shared_channels have over 6 widths together, and each halves the 64 pixels")
        return self


@dataclass(frozen=True, config=STRICT, kw_only=True)
class AttentionNet(IntermediateNet):
    num_heads: PositiveInt

    @model_validator(mode="after")
    def _share_channels_evenly(self) -> "AttentionNet":
        if self.channels[-1] % self.num_heads:
            raise ValueError(f"{self.channels[-1]} channels cannot be shared evenly among {self.num_heads} heads")
        return self


@dataclass(frozen=True, config=STRICT)
class Nets:
    rgb: LateNet
    lidar: LateNet
    early: EarlyNet
    late: LateNet
    late_frozen: LateNet
    concat: IntermediateNet
    add: IntermediateNet
    hadamard: IntermediateNet
    matmul: IntermediateNet
    gated: IntermediateNet
    attention: AttentionNet


@dataclass(frozen=True, config=STRICT, kw_only=True)
class Recipe:
    """How weights are found: Adam, a linear warm-up over the share `warmup_fraction` of all steps, then the schedule.

    A gradient longer than `grad_clip_norm` is shortened to it; null leaves all as they are.
    """

    lr: PositiveFloat
    batch_size: PositiveInt
    warmup_fraction: Annotated[float, BeforeValidator(no_bool), Field(ge=0, lt=1)]
    schedule: Literal["cosine", "constant"]
    grad_clip_norm: PositiveFloat | None

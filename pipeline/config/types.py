"""The values of which params.yaml is made: names, bounded numbers, the widths of nets, the recipe of a training."""

from typing import Annotated, Any, Literal, NotRequired, Required

from pydantic import AfterValidator, BeforeValidator, ConfigDict, Field, with_config
from pydantic.dataclasses import dataclass
from typing_extensions import TypedDict  # pydantic refuses typing.TypedDict before Python 3.12

DownsampleName = Literal["maxpool", "strided", "strided_extra"]
NormName = Literal["none", "batch"]
PrecisionName = Literal["auto", "float32", "bfloat16"]
TuningName = Literal["projector_only", "full"]


def refuse_bool(value: Any) -> Any:
    """Return `value`; raise ValueError if it is a bool, which pydantic takes for a number."""
    if isinstance(value, bool):
        raise ValueError("expected a number")
    return value


def distinct(values: list) -> list:
    """Return `values`; raise ValueError if one of them occurs twice."""
    if len(set(values)) < len(values):
        raise ValueError("expected each of them once")
    return values


MAX_NUMBER = 1_000_000  # of every number: a larger one is a slip of the keyboard, and asks for memory without end
MAX_SEEDS = 1000  # trainings of one net that lie in memory side by side

# Floats may come as strings: DVC writes 1e-05, which YAML 1.1 does not take for a number.
Finite = Annotated[float, BeforeValidator(refuse_bool), Field(allow_inf_nan=False)]
PositiveFloat = Annotated[Finite, Field(gt=0, le=MAX_NUMBER)]
PositiveInt = Annotated[int, Field(strict=True, gt=0, le=MAX_NUMBER)]
EvenInt = Annotated[int, Field(strict=True, ge=2, le=MAX_NUMBER, multiple_of=2)]
Seed = Annotated[int, Field(strict=True, ge=0, lt=2**63)]
Seeds = Annotated[list[Seed], Field(min_length=1, max_length=MAX_SEEDS), AfterValidator(distinct)]
Share = Annotated[float, BeforeValidator(refuse_bool), Field(gt=0, lt=1)]
# a trained one never falls below its least: models.cilp.MAX_LOGIT_SCALE
Temperature = Annotated[Finite, Field(ge=0.01, le=100)]
Dims = list[PositiveInt]
Severities = Annotated[list[PositiveFloat], Field(min_length=1), AfterValidator(distinct)]
Portions = Annotated[list[Annotated[PositiveFloat, Field(le=1)]], Field(min_length=1), AfterValidator(distinct)]
Channels = Annotated[Dims, Field(min_length=1, max_length=6)]  # each convolution halves the 64 pixels
STRICT = ConfigDict(extra="forbid")


@with_config(STRICT)
class Widths(TypedDict):
    """The widths of one fusion net. Which of them a fusion takes is known by its builder in models/fusion.py alone."""

    channels: Required[Channels]  # of each encoder
    shared_channels: NotRequired[Dims]  # of the convolutions after the fusion
    embed_dim: NotRequired[PositiveInt]  # of each sensor's embedding
    head_dims: Required[Dims]
    num_heads: NotRequired[PositiveInt]  # of the attention


def fitting(widths: Widths) -> Widths:
    """Return `widths`; raise ValueError if no pixel would be left or the heads do not divide the channels."""
    channels, heads = widths["channels"], widths.get("num_heads", 1)
    if len(channels) + len(widths.get("shared_channels", [])) > 6:
        raise ValueError("channels and shared_channels have over 6 widths together, and each halves the 64 pixels")
    if channels[-1] % heads:
        raise ValueError(f"{channels[-1]} channels cannot be shared evenly among {heads} heads")
    return widths


Nets = Annotated[dict[str, Annotated[Widths, AfterValidator(fitting)]], Field(min_length=1)]


@dataclass(frozen=True, config=STRICT, kw_only=True)
class Recipe:
    """A recipe of training: Adam, a linear warm-up over the share `warmup_fraction` of all steps, then the schedule.

    A gradient longer than `grad_clip_norm` is scaled down to it; null sets no limit.
    """

    lr: PositiveFloat
    batch_size: PositiveInt
    warmup_fraction: Annotated[float, BeforeValidator(refuse_bool), Field(ge=0, lt=1)]
    schedule: Literal["cosine", "constant"]
    grad_clip_norm: PositiveFloat | None

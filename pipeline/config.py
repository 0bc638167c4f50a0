"""params.yaml as frozen, typed dataclasses. Only stages and the command line call `load`.

Unknown, missing and impossible values are refused by their full name, for example `fusion.lr`.
"""

from pathlib import Path
from typing import Annotated, Any, Literal

import yaml
from pydantic import (
    AfterValidator,
    BeforeValidator,
    ConfigDict,
    Field,
    TypeAdapter,
    ValidationError,
    field_validator,
    model_validator,
)
from pydantic.dataclasses import dataclass

from pipeline.errors import PipelineError

FusionName = Literal[
    "rgb", "lidar", "early", "late", "late_frozen", "concat", "add", "hadamard", "matmul", "gated", "attention"
]
DownsampleName = Literal["maxpool", "strided", "strided_extra"]
NormName = Literal["none", "batch"]
TuningName = Literal["projector", "everything"]
PRETRAINED = Path("pretrained")  # DVC watches this folder, so that other weights retrain what rests on them


def _no_bool(value: Any) -> Any:
    if isinstance(value, bool):
        raise ValueError("expected a number")
    return value


def _distinct(values: list) -> list:
    if len(set(values)) < len(values):
        raise ValueError("expected each of them once")
    return values


# Floats may come as strings: DVC writes 1e-05, which YAML 1.1 does not take for a number.
PositiveFloat = Annotated[float, BeforeValidator(_no_bool), Field(gt=0, allow_inf_nan=False)]
PositiveInt = Annotated[int, Field(strict=True, gt=0)]
Seed = Annotated[int, Field(strict=True, ge=0, lt=2**63)]
Share = Annotated[float, BeforeValidator(_no_bool), Field(gt=0, lt=1)]
Widths = list[PositiveInt]
Severities = Annotated[list[PositiveFloat], Field(min_length=1), AfterValidator(_distinct)]
Portions = Annotated[list[Annotated[PositiveFloat, Field(le=1)]], Field(min_length=1), AfterValidator(_distinct)]
Branch = Annotated[Widths, Field(min_length=1, max_length=6)]  # each width halves the 64 pixels
_strict = ConfigDict(extra="forbid")


@dataclass(frozen=True, config=_strict)
class Cell:
    """One net of the fusion study."""

    fusion: FusionName
    downsample: DownsampleName
    epochs: PositiveInt

    @property
    def name(self) -> str:
        """The one spelling of a cell: its key in the matrix, in DVC, and its folder."""
        return f"{self.fusion}-{self.downsample}"


def _named_as_they_are(cells: dict[str, Cell]) -> dict[str, Cell]:
    for name, cell in cells.items():
        if name != cell.name:
            raise ValueError(f"the cell {name} is a {cell.fusion} with {cell.downsample}: call it {cell.name}")
    return cells


Matrix = Annotated[dict[str, Cell], Field(min_length=1), AfterValidator(_named_as_they_are)]


@dataclass(frozen=True, config=_strict)
class Fractions:
    train: Share
    val: Share
    test: Share

    @model_validator(mode="after")
    def _sum_to_one(self) -> "Fractions":
        if abs(self.train + self.val + self.test - 1) > 1e-9:
            raise ValueError(f"train + val + test is {self.train + self.val + self.test:g}, expected 1")
        return self


@dataclass(frozen=True, config=_strict)
class Prepare:
    split: Literal["scene", "course"]
    fractions: Fractions
    course_scenes: PositiveInt
    seed: Seed


@dataclass(frozen=True, config=_strict)
class LateNet:
    """Each modality alone down to a vector of `embed` values; the vectors meet in the head, or one goes there alone."""

    branch: Branch
    embed: PositiveInt
    head: Widths


@dataclass(frozen=True, config=_strict)
class EarlyNet:
    """Both modalities stacked before the first convolution."""

    branch: Branch
    head: Widths


@dataclass(frozen=True, config=_strict)
class IntermediateNet:
    """Feature maps meet after `branch`; convolutions `shared` and the head follow."""

    branch: Branch
    shared: Widths
    head: Widths

    @model_validator(mode="after")
    def _leave_a_pixel(self) -> "IntermediateNet":
        if len(self.branch) + len(self.shared) > 6:
            raise ValueError("branch and shared have over 6 widths together, and each halves the 64 pixels")
        return self


@dataclass(frozen=True, config=_strict, kw_only=True)
class AttentionNet(IntermediateNet):
    heads: PositiveInt

    @model_validator(mode="after")
    def _share_channels_evenly(self) -> "AttentionNet":
        if self.branch[-1] % self.heads:
            raise ValueError(f"{self.branch[-1]} channels cannot be shared evenly among {self.heads} heads")
        return self


@dataclass(frozen=True, config=_strict)
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


@dataclass(frozen=True, config=_strict, kw_only=True)
class Recipe:
    """How weights are found: Adam, a linear warm-up over the share `warmup` of all steps, then the schedule.

    A gradient longer than `clip` is shortened to it; null leaves all as they are.
    """

    lr: PositiveFloat
    batch: PositiveInt
    warmup: Annotated[float, BeforeValidator(_no_bool), Field(ge=0, lt=1)]
    schedule: Literal["cosine", "constant"]
    clip: PositiveFloat | None


@dataclass(frozen=True, config=_strict, kw_only=True)
class Fusion(Recipe):
    nets: Nets


@dataclass(frozen=True, config=_strict, kw_only=True)
class Curve(Recipe):
    """The fusions on few scenes: `epochs` of at least `steps` batches each."""

    epochs: PositiveInt
    steps: PositiveInt
    downsample: DownsampleName
    fusions: Annotated[list[FusionName], Field(min_length=1), AfterValidator(_distinct)]
    scenes: Annotated[list[PositiveInt], Field(min_length=1), AfterValidator(_distinct)]


@dataclass(frozen=True, config=_strict)
class Faults:
    """Severities of each sensor fault, from mild to strong, in the units of data/degrade.py."""

    lidar_noise: Severities
    lidar_dropout: Portions
    lidar_beams: Annotated[Widths, Field(min_length=1), AfterValidator(_distinct)]
    lidar_range: Severities
    rgb_dark: Portions
    rgb_noise: Severities
    rgb_blur: Severities
    rgb_colour: Severities


@dataclass(frozen=True, config=_strict)
class Stress:
    scenes: PositiveInt
    seed: Seed
    faults: Faults


@dataclass(frozen=True, config=_strict, kw_only=True)
class Training(Recipe):
    """A recipe and how long to follow it."""

    epochs: PositiveInt


@dataclass(frozen=True, config=_strict, kw_only=True)
class Lidar(Training):
    weights: str | None  # a file of weights instead of a training
    branch: Branch
    head: Widths

    @field_validator("weights")
    @classmethod
    def _in_the_watched_folder(cls, name: str | None) -> str | None:
        if name is not None and (Path(name).parent != PRETRAINED or not Path(name).name):
            raise ValueError(f"expected null or a file in {PRETRAINED}/: copy it there, where DVC sees it change")
        return name


@dataclass(frozen=True, config=_strict, kw_only=True)
class Cilp(Training):
    batch: Annotated[int, Field(strict=True, ge=2, multiple_of=2)]  # a cube and its sphere stay together
    branch: Branch
    norm: NormName
    hidden: Widths
    embed: PositiveInt
    temperature: Annotated[PositiveFloat, Field(ge=0.01)]  # the net never goes below: see models.cilp.MAX_SCALE


@dataclass(frozen=True, config=_strict, kw_only=True)
class Project(Training):
    hidden: Widths


@dataclass(frozen=True, config=_strict)
class Classify:
    projector: Training
    everything: Training


@dataclass(frozen=True, config=_strict, kw_only=True)
class Labels(Training):
    steps: PositiveInt
    counts: Annotated[list[Annotated[int, Field(strict=True, ge=2, multiple_of=2)]], AfterValidator(_distinct)]


@dataclass(frozen=True, config=_strict)
class Params:
    seeds: Annotated[list[Seed], Field(min_length=1), AfterValidator(_distinct)]
    matrix: Matrix
    prepare: Prepare
    fusion: Fusion
    curve: Curve
    stress: Stress
    lidar: Lidar
    cilp: Cilp
    project: Project
    classify: Classify
    labels: Labels


def load(path: Path = Path("params.yaml")) -> Params:
    """Read and validate the parameters; raises PipelineError that lists every fault by its full name."""
    try:
        return TypeAdapter(Params).validate_python(yaml.safe_load(path.read_text(encoding="utf-8")))
    except FileNotFoundError:
        raise PipelineError(f"{path}: not found; run from the top of the repository") from None
    except (yaml.YAMLError, UnicodeDecodeError, OSError) as error:
        raise PipelineError(f"{path}: not valid YAML: {' '.join(str(error).split())}") from None
    except ValidationError as error:
        raise PipelineError(f"{path}: {'; '.join(_fault(item) for item in error.errors())}") from None


def _fault(item: dict) -> str:
    """One pydantic fault as `section.key: what was found, what was expected`."""
    name = ".".join(str(part) for part in item["loc"] if part != "[key]")  # pydantic's mark of a refused key
    if item["type"] == "missing":
        return f"{name} is missing: add it"
    if item["type"] in ("unexpected_keyword_argument", "extra_forbidden"):
        return f"{name} is not a known key: remove it or mend the spelling"
    if item["type"] == "dataclass_type":
        return f"{name or 'the file'} is {item['input']!r}: expected a section of keys"
    message = item["msg"].removeprefix("Value error, ")
    return f"{name} is {item['input']!r}: {message}" if name else message

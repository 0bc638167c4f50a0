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

FusionName = Literal["late", "concat", "add", "hadamard"]
DownsampleName = Literal["maxpool", "strided"]
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
Branch = Annotated[Widths, Field(min_length=1, max_length=6)]  # each width halves the 64 pixels
_strict = ConfigDict(extra="forbid")


@dataclass(frozen=True, config=_strict)
class Matrix:
    """The cells of the fusion study: every fusion with every downsampling."""

    fusion: Annotated[list[FusionName], Field(min_length=1), AfterValidator(_distinct)]
    downsample: Annotated[list[DownsampleName], Field(min_length=1), AfterValidator(_distinct)]


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
    """Each modality alone down to a vector of `embed` values; the vectors meet in the head."""

    branch: Branch
    embed: PositiveInt
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


@dataclass(frozen=True, config=_strict)
class Nets:
    late: LateNet
    concat: IntermediateNet
    add: IntermediateNet
    hadamard: IntermediateNet


@dataclass(frozen=True, config=_strict, kw_only=True)
class Recipe:
    """How weights are found: Adam, a linear warm-up over the share `warmup` of all steps, then the schedule."""

    lr: PositiveFloat
    batch: PositiveInt
    warmup: Annotated[float, BeforeValidator(_no_bool), Field(ge=0, lt=1)]
    schedule: Literal["cosine", "constant"]


@dataclass(frozen=True, config=_strict, kw_only=True)
class Fusion(Recipe):
    epochs: dict[FusionName, dict[DownsampleName, PositiveInt]]
    nets: Nets

    def epochs_of(self, fusion: str, downsample: str) -> int:
        """Epochs of one cell; raises PipelineError if the table has none."""
        try:
            return self.epochs[fusion][downsample]
        except KeyError:
            raise PipelineError(f"params.yaml: fusion.epochs.{fusion}.{downsample} is missing: add it") from None


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
    lidar: Lidar
    cilp: Cilp
    project: Project
    classify: Classify
    labels: Labels

    @model_validator(mode="after")
    def _every_cell_has_epochs(self) -> "Params":
        for fusion in self.matrix.fusion:
            for downsample in self.matrix.downsample:
                if downsample not in self.fusion.epochs.get(fusion, {}):
                    raise ValueError(f"fusion.epochs.{fusion}.{downsample} is missing, and matrix has that cell")
        return self


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

"""params.yaml as frozen, typed dataclasses. Only stages and the command line call `load`.

Unknown, missing and impossible values are refused by their full name, for example `fusion.lr`.
"""

from pathlib import Path
from typing import Annotated, Literal

import yaml
from pydantic import (
    AfterValidator,
    Field,
    TypeAdapter,
    ValidationError,
    field_validator,
    model_validator,
)
from pydantic.dataclasses import dataclass

from pipeline.config.types import (
    STRICT,
    Branch,
    DownsampleName,
    FusionName,
    Nets,
    NormName,
    Portions,
    PositiveFloat,
    PositiveInt,
    Recipe,
    Seed,
    Severities,
    Share,
    Widths,
    distinct,
)
from pipeline.core.errors import PipelineError

PRETRAINED = Path("pretrained")  # DVC watches this folder, so that other weights retrain what rests on them


@dataclass(frozen=True, config=STRICT)
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


@dataclass(frozen=True, config=STRICT)
class Fractions:
    train: Share
    val: Share
    test: Share

    @model_validator(mode="after")
    def _sum_to_one(self) -> "Fractions":
        if abs(self.train + self.val + self.test - 1) > 1e-9:
            raise ValueError(f"train + val + test is {self.train + self.val + self.test:g}, expected 1")
        return self


@dataclass(frozen=True, config=STRICT)
class Counts:
    """Scenes of each split, instead of fractions."""

    train: PositiveInt
    val: PositiveInt
    test: PositiveInt


@dataclass(frozen=True, config=STRICT)
class Prepare:
    split: Literal["scene", "course", "stratified"]
    fractions: Fractions
    scene_counts: Counts | None
    course_scenes: PositiveInt
    strata: PositiveInt
    seed: Seed
    on_error: Literal["stop", "skip"]


@dataclass(frozen=True, config=STRICT, kw_only=True)
class Fusion(Recipe):
    nets: Nets


@dataclass(frozen=True, config=STRICT, kw_only=True)
class Curve(Recipe):
    """The fusions on few scenes: `epochs` of at least `min_steps_per_epoch` batches each."""

    epochs: PositiveInt
    min_steps_per_epoch: PositiveInt
    downsample: DownsampleName
    fusions: Annotated[list[FusionName], Field(min_length=1), AfterValidator(distinct)]
    scenes: Annotated[list[PositiveInt], Field(min_length=1), AfterValidator(distinct)]


@dataclass(frozen=True, config=STRICT)
class Faults:
    """Severities of each sensor fault, from mild to strong, in the units of data/degrade.py."""

    lidar_noise: Severities
    lidar_dropout: Portions
    lidar_beams: Annotated[Widths, Field(min_length=1), AfterValidator(distinct)]
    lidar_range: Severities
    rgb_dark: Portions
    rgb_noise: Severities
    rgb_blur: Severities
    rgb_colour: Severities


@dataclass(frozen=True, config=STRICT)
class Stress:
    scenes: PositiveInt
    seed: Seed
    faults: Faults


@dataclass(frozen=True, config=STRICT, kw_only=True)
class Training(Recipe):
    """A recipe and how long to follow it."""

    epochs: PositiveInt


@dataclass(frozen=True, config=STRICT, kw_only=True)
class Lidar(Training):
    weights: str | None  # a file of weights instead of a training
    channels: Branch
    head_dims: Widths

    @field_validator("weights")
    @classmethod
    def _in_the_watched_folder(cls, name: str | None) -> str | None:
        if name is not None and (Path(name).parent != PRETRAINED or not Path(name).name):
            raise ValueError(f"expected null or a file in {PRETRAINED}/: copy it there, where DVC sees it change")
        return name


@dataclass(frozen=True, config=STRICT, kw_only=True)
class Cilp(Training):
    batch_size: Annotated[int, Field(strict=True, ge=2, multiple_of=2)]  # a cube and its sphere stay together
    channels: Branch
    norm: NormName
    hidden_dims: Widths
    embed_dim: PositiveInt
    temperature: Annotated[PositiveFloat, Field(ge=0.01)]  # the net never goes below: see models.cilp.MAX_SCALE


@dataclass(frozen=True, config=STRICT, kw_only=True)
class Project(Training):
    hidden_dims: Widths


@dataclass(frozen=True, config=STRICT)
class Classify:
    projector_only: Training
    full: Training


@dataclass(frozen=True, config=STRICT, kw_only=True)
class Labels(Training):
    min_steps_per_epoch: PositiveInt
    label_counts: Annotated[list[Annotated[int, Field(strict=True, ge=2, multiple_of=2)]], AfterValidator(distinct)]


@dataclass(frozen=True, config=STRICT)
class Params:
    seeds: Annotated[list[Seed], Field(min_length=1), AfterValidator(distinct)]
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


def load_params(path: Path = Path("params.yaml")) -> Params:
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

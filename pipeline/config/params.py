"""params.yaml as frozen, typed dataclasses. Only stages and the command line call `load_params`.

Unknown, missing and impossible values are refused by their full key, for example `fusion.lr`.
"""

from pathlib import Path
from typing import Annotated, Literal

import yaml
from pydantic import AfterValidator, Field, TypeAdapter, ValidationError, field_validator, model_validator
from pydantic.dataclasses import dataclass

from pipeline.config.errors import format_errors
from pipeline.config.reader import parse_yaml, read_text
from pipeline.config.types import (
    STRICT,
    Channels,
    Dims,
    DownsampleName,
    EvenInt,
    Nets,
    NormName,
    Portions,
    PositiveInt,
    PrecisionName,
    Recipe,
    Seed,
    Seeds,
    Severities,
    Share,
    Temperature,
    distinct,
)
from pipeline.core.errors import PipelineError

PRETRAINED = Path("pretrained")  # DVC watches this folder, so that other weights retrain what depends on them


@dataclass(frozen=True, config=STRICT)
class Cell:
    """One net of the fusion study."""

    fusion: str  # a key of fusion.nets
    downsample: DownsampleName
    epochs: PositiveInt

    @property
    def name(self) -> str:
        """Return the only spelling of a cell: its key in the matrix and in DVC, and the name of its folder."""
        return f"{self.fusion}-{self.downsample}"


@dataclass(frozen=True, config=STRICT)
class Fractions:
    """Shares of the scenes in each split."""

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
    """Numbers of scenes in each split, instead of fractions."""

    train: PositiveInt
    val: PositiveInt
    test: PositiveInt


@dataclass(frozen=True, config=STRICT)
class Prepare:
    """How raw scenes are split and what becomes of broken ones."""

    split: Literal["scene", "course", "stratified"]
    fractions: Fractions
    scene_counts: Counts | None
    course_scenes: PositiveInt
    strata: PositiveInt
    seed: Seed
    on_error: Literal["stop", "skip"]


@dataclass(frozen=True, config=STRICT, kw_only=True)
class Fusion(Recipe):
    """The recipe of all cells, their seeds, which are also those of the learning curve, and the widths of each net."""

    seeds: Seeds
    nets: Nets


@dataclass(frozen=True, config=STRICT, kw_only=True)
class Curve(Recipe):
    """The fusions on few scenes: `epochs` of at least `min_steps_per_epoch` batches each."""

    epochs: PositiveInt
    min_steps_per_epoch: PositiveInt
    downsample: DownsampleName
    fusions: Annotated[list[str], Field(min_length=1), AfterValidator(distinct)]
    scenes: Annotated[list[PositiveInt], Field(min_length=1), AfterValidator(distinct)]


@dataclass(frozen=True, config=STRICT)
class Faults:
    """Severities of each sensor fault, from mild to strong, in the units of evaluation/corruptions.py."""

    lidar_noise: Severities
    lidar_dropout: Portions
    lidar_beams: Annotated[Dims, Field(min_length=1), AfterValidator(distinct)]
    lidar_range: Severities
    rgb_dark: Portions
    rgb_noise: Severities
    rgb_blur: Severities
    rgb_colour: Severities


@dataclass(frozen=True, config=STRICT)
class Stress:
    """The test scenes, and the sensor faults that trained cells meet on them."""

    scenes: PositiveInt
    seed: Seed
    faults: Faults


@dataclass(frozen=True, config=STRICT, kw_only=True)
class Training(Recipe):
    """A recipe and how long to follow it."""

    epochs: PositiveInt


@dataclass(frozen=True, config=STRICT, kw_only=True)
class Lidar(Training):
    """The LiDAR classifier: its widths and its training, or a file of weights."""

    weights: str | None  # a file of weights instead of a training
    channels: Channels
    head_dims: Dims

    @field_validator("weights")
    @classmethod
    def _lie_in_pretrained(cls, name: str | None) -> str | None:
        if name is not None and (Path(name).parent != PRETRAINED or not Path(name).name):
            raise ValueError(f"expected null or a file in {PRETRAINED}/: copy it there, where DVC sees it change")
        return name


@dataclass(frozen=True, config=STRICT, kw_only=True)
class Cilp(Training):
    """Two contrastive embedders of equal widths, and the temperature that they start from."""

    batch_size: EvenInt  # a cube and its sphere stay together
    channels: Channels
    norm: NormName
    hidden_dims: Dims
    embed_dim: PositiveInt
    temperature: Temperature


@dataclass(frozen=True, config=STRICT, kw_only=True)
class Project(Training):
    """The projector from RGB embeddings to LiDAR features."""

    hidden_dims: Dims


@dataclass(frozen=True, config=STRICT)
class Classify:
    """The training of each tuning of the RGB classifier."""

    projector_only: Training
    full: Training


@dataclass(frozen=True, config=STRICT, kw_only=True)
class Labels(Training):
    """Tuning and training from scratch on few labels, in epochs of at least `min_steps_per_epoch` batches."""

    min_steps_per_epoch: PositiveInt
    label_counts: Annotated[list[EvenInt], AfterValidator(distinct)]


@dataclass(frozen=True, config=STRICT)
class Params:
    """All of params.yaml; a section has the name of its stage."""

    seeds: Seeds
    precision: PrecisionName
    matrix: Annotated[dict[str, Cell], Field(min_length=1)]
    prepare: Prepare
    fusion: Fusion
    curve: Curve
    stress: Stress
    lidar: Lidar
    cilp: Cilp
    project: Project
    classify: Classify
    labels: Labels

    @model_validator(mode="after")
    def _name_fusions_that_have_nets(self) -> "Params":
        named = {f"matrix.{name}.fusion": cell.fusion for name, cell in self.matrix.items()}
        named |= {f"curve.fusions.{place}": fusion for place, fusion in enumerate(self.curve.fusions)}
        nets = ", ".join(self.fusion.nets)
        errors = [
            f"{key} is {fusion!r}: expected a key of fusion.nets, which are {nets}"
            for key, fusion in named.items()
            if fusion not in self.fusion.nets
        ]
        if errors:
            raise ValueError("; ".join(errors))
        return self

    @model_validator(mode="after")
    def _name_cells_by_their_parts(self) -> "Params":
        for name, cell in self.matrix.items():
            if name != cell.name:
                parts = f"{cell.fusion} with {cell.downsample}"
                raise ValueError(f"matrix.{name} is a cell of {parts}: call it {cell.name}")
        return self


_PARAMS = TypeAdapter(Params)


def load_params(path: Path = Path("params.yaml")) -> Params:
    """Return the validated parameters of a file; raise PipelineError that lists every error by its full key."""
    return parse_params(read_text(path), str(path))


def parse_params(text: str, origin: str) -> Params:
    """Return the validated parameters of a YAML text; `origin` names it in errors, as in `load_params`."""
    try:
        return _PARAMS.validate_python(parse_yaml(text))
    except ValidationError as error:
        raise PipelineError(f"{origin}: {format_errors(error.errors(), _PARAMS.json_schema())}") from None
    except (yaml.YAMLError, ValueError, RecursionError) as error:  # a date that is none; 5,000 digits; 5,000 brackets
        raise PipelineError(f"{origin}: not valid YAML: {' '.join(str(error).split())}") from None

"""Parquet files as a source, as Hugging Face's data sets have them: a row is a pair, its frames in two columns."""

import json
import re
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from pipeline.core.sensors import ANGLES, CLASS_NAMES, CLASSES, IMAGE_SIZE, SENSORS
from pipeline.raw.format import DataError, Issue, read_bytes
from pipeline.tools.importers.folders import list_names
from pipeline.tools.importers.locate import ANGLE
from pipeline.tools.importers.shards import Cell, Shards, encode
from pipeline.tools.importers.source import Source, digest

if TYPE_CHECKING:
    import pyarrow as pa


COLUMN_NAMES = {  # what columns are called, in any case
    "rgb": {"image", "rgb", "png", "picture"},
    "lidar": {"lidar", "depth", "range"},
    "label": {"label", "class", "shape", "category"},
    "scene": {"scene", "index", "idx", "number", "id"},
    "azimuth": {"azimuth"},
    "zenith": {"zenith"},
}
MAX_ROWS = 200_000  # a whole set has 19,998
ORDER = "no column and no file name numbers the scenes: the n-th cube and the n-th sphere were taken as one scene"


class Row(NamedTuple):
    """One pair, by its small columns."""

    path: Path
    group: int
    row: int  # in the group
    at: int  # in the file
    kind: str  # class
    scene: int | None  # as a column or a file's name has it
    angles: tuple[Any, ...]  # as they came


def open_parquet(paths: list[Path], home: Path, title: str) -> Source | None:
    """The set in the rows of parquet files below `home`; None where no column holds images, or none LiDAR.

    Raises DataError for a set without classes or angles, and for two rows of one class and scene.
    """
    paths = sorted(paths)
    shards = Shards(paths)
    roles = _roles(paths[0], shards)
    if not {"rgb", "lidar"} <= set(roles):
        return None
    rows, notes = _numbered(_rows(paths, shards, roles))
    cells, files = {}, {}
    for row in rows:
        for name, role in _contract(row, roles):
            inside = f"{row.path.relative_to(home)}:row {row.at}:{roles[role]}"
            files[name], cells[inside] = inside, Cell(row.path, row.group, row.row, roles[role])
    files |= _angles(home, set(files))
    frames = tuple(roles[sensor] for sensor in SENSORS)

    def read(name: str) -> bytes:
        if name not in cells:
            return read_bytes(home / name)
        is_frame = cells[name].column in frames
        value = shards.value(cells[name], frames if is_frame else (cells[name].column,))
        return encode(home / name, value, (IMAGE_SIZE, IMAGE_SIZE) if is_frame else (IMAGE_SIZE,))

    stamps = [(str(path.resolve()), path.stat().st_size, path.stat().st_mtime_ns) for path in paths]
    return Source(title, files, read, digest([*files.items(), *stamps]), tuple(notes), f"{home}/")


def _roles(path: Path, shards: Shards) -> dict[str, str]:
    """What each column holds, by its name; the same in all files. Raises DataError."""
    schema = shards.files[path].schema_arrow
    roles = {}
    for role, called in COLUMN_NAMES.items():
        if fits := [name for name in schema.names if name.lower() in called]:
            roles[role] = fits[0]
    if "rgb" in roles and "lidar" in roles and "label" not in roles:
        found, expected = f"columns {', '.join(schema.names)}", "one of them called label"
        raise DataError(Issue("no-label", path, found, expected, "add a column with 0 for cubes and 1 for spheres"))
    for other, file in shards.files.items():
        if absent := set(roles.values()) - set(file.schema_arrow.names):
            fix = "name the folder of one data set"
            raise DataError(Issue("columns", other, f"no column {', '.join(sorted(absent))}", f"those of {path}", fix))
    return roles


# --- which row is which


def _rows(paths: list[Path], shards: Shards, roles: dict[str, str]) -> list[Row]:
    rows: list[Row] = []
    for path in paths:
        about = shards.files[path].metadata
        if len(rows) + about.num_rows > MAX_ROWS:
            raise DataError(Issue("too-many", path, f"over {MAX_ROWS:,} rows", "one data set", "name one data set"))
        schema = shards.files[path].schema_arrow
        named = _class_names(schema, roles["label"])
        small = [roles[role] for role in ("label", "scene", *ANGLES) if role in roles]
        image = schema.field(roles["rgb"]).type
        if any(image.field(at).name == "path" for at in range(image.num_fields)):
            small.append(f"{roles['rgb']}.path")
        for at, (group, row, values) in enumerate(shards.columns(path, small)):
            place = Path(f"{path}:row {at}")
            kind = _kind(place, values[roles["label"]], named)
            angles = tuple(values.get(roles.get(angle)) for angle in ANGLES)
            rows.append(Row(path, group, row, at, kind, _scene(place, values, roles), angles))
    return rows


def _class_names(schema: "pa.Schema", label: str) -> list[str] | None:
    """The names of the classes by number, where Hugging Face's own note in the file tells them."""
    try:
        features = json.loads((schema.metadata or {})[b"huggingface"])["info"]["features"]
        return [str(name) for name in features[label]["names"]]
    except (KeyError, TypeError, ValueError):
        return None


def _kind(place: Path, label: Any, named: list[str] | None) -> str:
    if isinstance(label, int) and named and 0 <= label < len(named):
        label = named[label]
    for kind, one in zip(CLASSES, CLASS_NAMES, strict=True):
        if isinstance(label, str) and label.strip().lower() in (kind, one):
            return kind
    if isinstance(label, int) and not named and 0 <= label < len(CLASSES):
        return CLASSES[label]
    fix = "write 0 or cube, 1 or sphere there"
    raise DataError(Issue("label", place, f"the label {label!r:.60}", f"one of {', '.join(CLASS_NAMES)}", fix))


def _scene(place: Path, values: dict[str, Any], roles: dict[str, str]) -> int | None:
    """The scene's number: of its own column, else the last digits in the picture's name, else None."""
    if "scene" not in roles:
        image = values.get(roles["rgb"]) or {}
        digits = re.search(r"([0-9]{1,9})\.\w+$", image.get("path") or "")
        return int(digits[1]) if digits else None
    scene = values[roles["scene"]]
    digits = re.fullmatch(r"[0-9]{1,9}", f"{scene}".strip())
    if not digits:
        fix = "number the scenes from 0 on"
        raise DataError(Issue("name", place, f"the scene {scene!r:.60}", "a number", fix))
    return int(digits[0])


def _numbered(rows: list[Row]) -> tuple[list[Row], list[str]]:
    """Rows of which each has a scene, and what is to be said of it; raises DataError for two rows of one scene."""
    notes = []
    if any(row.scene is None for row in rows):
        seen: Counter[str] = Counter()
        notes.append(ORDER)
        for at, row in enumerate(rows):
            rows[at] = row._replace(scene=seen[row.kind])
            seen[row.kind] += 1
    first: dict[tuple[str, int | None], Row] = {}
    faults = []
    for row in rows:
        other = first.setdefault((row.kind, row.scene), row)
        if other is not row:
            found = f"{row.kind} of scene {row.scene:04d} as in {other.path.name}:row {other.at}"
            faults.append(Issue("two-names", Path(f"{row.path}:row {row.at}"), found, "it once", "remove one row"))
    for kind in CLASSES:
        own = [row for row in rows if row.kind == kind]
        for row in own:
            if row.angles != own[0].angles:
                fix = "give all rows of a class the angles of one sensor"
                place = Path(f"{row.path}:row {row.at}")
                faults.append(Issue("angles-differ", place, "other angles", f"those of row {own[0].at}", fix))
    if faults:
        raise DataError(*faults)
    return rows, notes


def _contract(row: Row, roles: dict[str, str]) -> list[tuple[str, str]]:
    """(name in the contract, role of the column) of what a row holds; angles of every row are the same."""
    frames = [(f"{row.kind}/{sensor}/{row.scene:04d}{suffix}", sensor) for sensor, suffix in SENSORS.items()]
    return frames + [(f"{row.kind}/{angle}.npy", angle) for angle in ANGLES if angle in roles]


def _angles(home: Path, known: set[str]) -> dict[str, str]:
    """Angle files beside the parquet files, a class's own (`cubes/azimuth.npy`) or one for both."""
    beside = {}
    for name in list_names(home):
        lower, match = name.lower(), ANGLE.fullmatch(name)
        angle = Path(lower).name.removesuffix(".npy")
        if match:
            beside.setdefault(f"{match['name'].lower()}/{angle}.npy", name)
        elif lower.endswith(".npy") and angle in ANGLES:
            beside.setdefault(f"/{angle}.npy", name)
    wanted = [(kind, angle) for kind in CLASSES for angle in ANGLES if f"{kind}/{angle}.npy" not in known]
    found = {f"{kind}/{a}.npy": beside.get(f"{kind}/{a}.npy") or beside.get(f"/{a}.npy") for kind, a in wanted}
    return {contract: name for contract, name in found.items() if name}

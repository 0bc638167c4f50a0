"""Parquet files as a source, in the form of Hugging Face's data sets: a row is a pair, its frames are two columns."""

import json
import re
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from pipeline.core.sensors import ANGLES, CLASS_NAMES, CLASSES, IMAGE_SIZE, SENSORS
from pipeline.raw.format import DataError, Issue, read_bytes
from pipeline.tools.importers.formats.folder import list_names
from pipeline.tools.importers.formats.locate import ANGLE, files_differ
from pipeline.tools.importers.formats.shards import Cell, Shards, encode
from pipeline.tools.importers.source import Source, compute_fingerprint

if TYPE_CHECKING:
    import pyarrow as pa


COLUMN_NAMES = {  # role of a column -> its possible names in lower case
    "rgb": {"image", "rgb", "png", "picture"},
    "lidar": {"lidar", "depth", "range"},
    "label": {"label", "class", "shape", "category"},
    "scene": {"scene", "index", "idx", "number", "id"},
    "azimuth": {"azimuth"},
    "zenith": {"zenith"},
}
MAX_ROWS = 200_000  # a whole set has 19,998
ORDER_NOTE = "no column and no file name numbers the scenes: the n-th cube and the n-th sphere became one scene"


class Row(NamedTuple):
    """One pair, by its small columns."""

    path: Path
    group: int  # row group of the file
    row_in_group: int
    row: int  # of the file
    class_name: str
    scene: int | None  # from a column or a file's name
    angles: tuple[Any, ...]  # values of the angles' columns

    def display_path(self) -> Path:
        """Return where the row lies, for messages."""
        return Path(f"{self.path}:row {self.row}")


def open_parquet(paths: list[Path], home: Path, title: str) -> Source | None:
    """Return the set in the rows of parquet files below `home`; None where no column holds images or LiDAR frames.

    Raises DataError for a set without classes or angles, and for two rows of one class and scene.
    """
    paths = sorted(paths)
    shards = Shards(paths)
    roles = _find_columns(paths[0], shards)
    if not {"rgb", "lidar"} <= roles.keys():
        return None
    rows, notes = _number_scenes(_read_rows(paths, shards, roles))
    _require_unique(rows)
    cells, files = {}, {}
    for row in rows:
        for raw_path, role in _raw_paths(row, roles):
            member = f"{row.path.relative_to(home)}:row {row.row}:{roles[role]}"
            files[raw_path], cells[member] = member, Cell(row.path, row.group, row.row_in_group, roles[role])
    files |= _angle_files(home, set(files))
    frame_columns = tuple(roles[sensor] for sensor in SENSORS)

    def read(member: str) -> bytes:
        if member not in cells:
            return read_bytes(home / member)
        is_frame = cells[member].column in frame_columns
        value = shards.value(cells[member], frame_columns if is_frame else (cells[member].column,))
        return encode(home / member, value, (IMAGE_SIZE, IMAGE_SIZE) if is_frame else (IMAGE_SIZE,))

    stamps = [(str(path.resolve()), path.stat().st_size, path.stat().st_mtime_ns) for path in paths]
    return Source(title, files, read, compute_fingerprint([*files.items(), *stamps]), tuple(notes), f"{home}/")


def _find_columns(path: Path, shards: Shards) -> dict[str, str]:
    """Return role -> column of the first file; raises DataError where there is no label or another file differs."""
    schema = shards.files[path].schema_arrow
    roles = {}
    for role, possible in COLUMN_NAMES.items():
        if columns := [name for name in schema.names if name.lower() in possible]:
            roles[role] = columns[0]
    if "rgb" in roles and "lidar" in roles and "label" not in roles:
        found, expected = f"columns {', '.join(schema.names)}", "one of them called label"
        raise DataError(Issue("no-label", path, found, expected, "add a column with 0 for cubes and 1 for spheres"))
    for other, file in shards.files.items():
        if absent := set(roles.values()) - set(file.schema_arrow.names):
            hint = "name the folder of one data set"
            raise DataError(Issue("columns", other, f"no column {', '.join(sorted(absent))}", f"those of {path}", hint))
    return roles


# --- which row is which


def _read_rows(paths: list[Path], shards: Shards, roles: dict[str, str]) -> list[Row]:
    rows: list[Row] = []
    for path in paths:
        if len(rows) + shards.files[path].metadata.num_rows > MAX_ROWS:
            raise DataError(Issue("too-many", path, f"over {MAX_ROWS:,} rows", "one data set", "name one data set"))
        schema = shards.files[path].schema_arrow
        label_names = _label_names(schema, roles["label"])
        columns = [roles[role] for role in ("label", "scene", *ANGLES) if role in roles]
        columns += [f"{roles[sensor]}.path" for sensor in SENSORS if _has_path(schema.field(roles[sensor]).type)]
        for row, (group, row_in_group, values) in enumerate(shards.small_columns(path, columns)):
            place = Path(f"{path}:row {row}")
            class_name = _class_of(place, values[roles["label"]], label_names)
            angles = tuple(values[roles[angle]] if angle in roles else None for angle in ANGLES)
            scene = _scene_of(place, values, roles)
            _require_one_scene(place, values, roles)
            rows.append(Row(path, group, row_in_group, row, class_name, scene, angles))
    return rows


def _has_path(column: "pa.DataType") -> bool:
    """Return whether the column is a struct with the name of a file, as the hub's own format has it."""
    return any(column.field(index).name == "path" for index in range(column.num_fields))


def _label_names(schema: "pa.Schema", label: str) -> list[str] | None:
    """Return the names of the labels by number, where the hub's own metadata in the file holds them."""
    try:
        features = json.loads((schema.metadata or {})[b"huggingface"])["info"]["features"]
        return [str(name) for name in features[label]["names"]]
    except (KeyError, TypeError, ValueError):
        return None


def _class_of(place: Path, label: Any, label_names: list[str] | None) -> str:
    if isinstance(label, int) and label_names and 0 <= label < len(label_names):
        label = label_names[label]
    for folder_name, class_name in zip(CLASSES, CLASS_NAMES, strict=True):
        if isinstance(label, str) and label.strip().lower() in (folder_name, class_name):
            return folder_name
    if isinstance(label, int) and not label_names and 0 <= label < len(CLASSES):
        return CLASSES[label]
    hint = "write 0 or cube, 1 or sphere there"
    raise DataError(Issue("label", place, f"the label {label!r:.60}", f"one of {', '.join(CLASS_NAMES)}", hint))


def _scene_of(place: Path, values: dict[str, Any], roles: dict[str, str]) -> int | None:
    """Return the scene's number: of its own column, else the last digits of the picture's name, else None."""
    if "scene" not in roles:
        image = values.get(roles["rgb"]) or {}
        digits = re.search(r"([0-9]{1,9})\.\w+$", image.get("path") or "")
        return int(digits[1]) if digits else None
    scene = values[roles["scene"]]
    digits = re.fullmatch(r"[0-9]{1,9}", f"{scene}".strip())
    if not digits:
        raise DataError(Issue("name", place, f"the scene {scene!r:.60}", "a number", "number the scenes from 0 on"))
    return int(digits[0])


def _require_one_scene(place: Path, values: dict[str, Any], roles: dict[str, str]) -> None:
    """Raise DataError for two files of a row whose paths name different scenes: two listings joined unsorted."""
    rgb, lidar = ((values.get(roles[sensor]) or {}).get("path") or "" for sensor in SENSORS)
    if files_differ(rgb, lidar):
        hint = "join the files by class and number and write the rows again"
        raise DataError(
            Issue("contradiction", place, f"{rgb} and {lidar} in one row", "files of one scene and class", hint)
        )


def _number_scenes(rows: list[Row]) -> tuple[list[Row], list[str]]:
    """Return rows that each have a scene, and notes: without numbers the order within each class counts."""
    if all(row.scene is not None for row in rows):
        return rows, []
    count: Counter[str] = Counter()
    numbered = []
    for row in rows:
        numbered.append(row._replace(scene=count[row.class_name]))
        count[row.class_name] += 1
    return numbered, [ORDER_NOTE]


def _require_unique(rows: list[Row]) -> None:
    """Raise DataError for two rows of one class and scene, and for angles that differ within a class."""
    first: dict[tuple[str, int | None], Row] = {}
    first_of_class: dict[str, Row] = {}
    issues = []
    for row in rows:
        other = first.setdefault((row.class_name, row.scene), row)
        if other is not row:
            found = f"{row.class_name} of scene {row.scene:04d} as in {other.path.name}:row {other.row}"
            issues.append(Issue("two-names", row.display_path(), found, "it once", "remove one row"))
        other = first_of_class.setdefault(row.class_name, row)
        if row.angles != other.angles:
            hint = "give all rows of a class the angles of one sensor"
            issues.append(Issue("angles-differ", row.display_path(), "other angles", f"those of row {other.row}", hint))
    if issues:
        raise DataError(*issues)


def _raw_paths(row: Row, roles: dict[str, str]) -> list[tuple[str, str]]:
    """Return (raw path, role of the column) of what a row holds. All rows of a class hold equal angles."""
    frames = [(f"{row.class_name}/{sensor}/{row.scene:04d}{suffix}", sensor) for sensor, suffix in SENSORS.items()]
    return frames + [(f"{row.class_name}/{angle}.npy", angle) for angle in ANGLES if angle in roles]


def _angle_files(home: Path, known: set[str]) -> dict[str, str]:
    """Return the angle files beside the parquet files: a class's own (`cubes/azimuth.npy`), else one for both."""
    own: dict[str, str] = {}
    shared: dict[str, str] = {}
    for name in list_names(home):
        file = name.rpartition("/")[2].lower()
        if match := ANGLE.fullmatch(name):
            own.setdefault(f"{match['name'].lower()}/{file}", name)
        elif file.endswith(".npy") and file.removesuffix(".npy") in ANGLES:
            shared.setdefault(file, name)
    wanted = [f"{class_name}/{angle}.npy" for class_name in CLASSES for angle in ANGLES]
    members = {path: own.get(path) or shared.get(path.partition("/")[2]) for path in wanted if path not in known}
    return {path: member for path, member in members.items() if member}

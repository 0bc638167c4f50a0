"""A location opened as a Source: a folder, archive or parquet file, a FiftyOne export, or a data set on a hub."""

from collections.abc import Callable
from pathlib import Path

from pipeline.raw.format import DataError, Issue
from pipeline.tools.importers.formats.archive import ARCHIVE_SUFFIXES, UNREADABLE_SUFFIXES, open_archives
from pipeline.tools.importers.formats.fiftyone_export import is_export, open_fiftyone
from pipeline.tools.importers.formats.folder import list_names, open_folder
from pipeline.tools.importers.formats.parquet import open_parquet
from pipeline.tools.importers.hub import download_from_hugging_face, download_from_kaggle
from pipeline.tools.importers.source import Source

DOWNLOADERS: dict[str, Callable[[str], Path]] = {  # by the scheme before the colon
    "hf": download_from_hugging_face,
    "kaggle": download_from_kaggle,
}
FORMS = "a folder, a .zip or .tar.gz, .parquet files, hf:owner/name or kaggle:owner/name"


def open_source(location: str) -> Source:
    """Return the data set at a location: a path, `hf:owner/name` or `kaggle:owner/name`.

    Raises PipelineError when it cannot be downloaded, DataError when it holds no data set.
    """
    scheme, colon, name = location.partition(":")
    if colon and scheme in DOWNLOADERS:
        return _open_path(DOWNLOADERS[scheme](name), location)
    path = Path(location).expanduser()
    if not path.exists():
        raise DataError(Issue("missing", path, "nothing", FORMS, "fix the name"))
    return _open_path(path, str(path))


def _open_path(path: Path, title: str) -> Source:
    if path.is_dir():
        source = _open_folder(path, title)
    elif path.is_file():
        open_files = open_parquet if path.suffix.lower() == ".parquet" else open_archives
        source = open_files([path], path.parent, title)
    else:
        raise DataError(Issue("not-a-file", path, "a pipe, socket or device", FORMS, "name one of these"))
    if source is None:
        hint = "name the folder or archive that holds them; unpack an archive of a FiftyOne data set or of archives"
        raise DataError(Issue("no-set", path, "no frames", "cubes/rgb/0000.png, cubes/lidar/0000.npy and so on", hint))
    return source


def _open_folder(folder: Path, title: str) -> Source | None:
    """Open a FiftyOne export, else frames, else what lies in the folder: an export, parquet files or archives."""
    source = open_fiftyone(folder) or open_folder(folder, title)
    if source:
        return source
    paths = [folder / name for name in list_names(folder)]
    if exports := [path.parent for path in paths if path.name == "samples.json" and is_export(path.parent)]:
        if len(exports) > 1:
            found = f"{len(exports)} FiftyOne data sets, such as {exports[0]} and {exports[1]}"
            raise DataError(Issue("ambiguous", folder, found, "one", "name the folder of the one you mean"))
        return open_fiftyone(exports[0])
    if shards := [path for path in paths if path.suffix.lower() == ".parquet"]:
        return open_parquet(shards, folder, title)
    for suffixes in (ARCHIVE_SUFFIXES, UNREADABLE_SUFFIXES):  # the latter are refused by name
        if archives := [path for path in paths if path.name.lower().endswith(suffixes)]:
            return open_archives(archives, folder, title)
    return None

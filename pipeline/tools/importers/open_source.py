"""What a user names, opened: a folder, a zip archive, parquet files, a FiftyOne data set, or a name on a hub."""

from pathlib import Path

from pipeline.raw.format import DataError, Issue
from pipeline.tools.importers.archive import open_archives
from pipeline.tools.importers.folders import list_names, open_folder
from pipeline.tools.importers.hub import from_hugging_face, from_kaggle
from pipeline.tools.importers.parquet import open_parquet
from pipeline.tools.importers.source import Source

HUBS = {"hf:": from_hugging_face, "kaggle:": from_kaggle}
FORMS = "a folder, a .zip, .parquet files, hf:owner/name or kaggle:owner/name"


def open_source(where: str) -> Source:
    """The data set that `where` names. Raises PipelineError when it cannot be had, DataError when it holds no set."""
    for prefix, fetch in HUBS.items():
        if where.startswith(prefix):
            return _open(fetch(where.removeprefix(prefix)), where)
    path = Path(where).expanduser()
    if not path.exists():
        raise DataError(Issue("missing", path, "nothing", FORMS, "mend the name"))
    return _open(path, str(path))


def _open(path: Path, title: str) -> Source:
    if path.is_dir():
        source = _open_folder(path, title)
    elif path.suffix.lower() == ".parquet":
        source = open_parquet([path], path.parent, title)
    elif path.is_file():
        source = open_archives([path], path.parent, title)
    else:
        raise DataError(Issue("not-a-file", path, "a pipe, socket or device", FORMS, "name one of these"))
    if source is None:
        fix = "name the folder or archive that holds them, unpacked if it is an archive in an archive"
        raise DataError(Issue("no-set", path, "no frames", "cubes/rgb/0000.png, cubes/lidar/0000.npy and so on", fix))
    return source


def _open_folder(folder: Path, title: str) -> Source | None:
    from pipeline.tools.importers.fiftyone_source import open_fiftyone

    source = open_fiftyone(folder) or open_folder(folder, title)
    if source:
        return source
    found = [folder / name for name in list_names(folder)]
    shards, archives = ([path for path in found if path.suffix.lower() == end] for end in (".parquet", ".zip"))
    return (
        open_parquet(shards, folder, title) if shards else open_archives(archives, folder, title) if archives else None
    )

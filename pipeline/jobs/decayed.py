"""Cached files that decayed on the disk: DVC restores a read-only file of its cache without a look at its bytes."""

import hashlib
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from dvc.output import Output
    from dvc.stage import Stage


def remove_decayed(stage: "Stage") -> list[Path]:
    """Delete what a restored stage took from the cache under a wrong name, and return the paths of the cached files.

    The name of a cached file is the MD5 of its bytes. The outputs of the stage have to be those of the cache.
    """
    cache = stage.repo.cache.local
    decayed = []
    for out in stage.outs:
        for path, name in _named_files(out):
            with path.open("rb") as file:
                digest = hashlib.file_digest(file, "md5").hexdigest()
            if digest != name.removesuffix(".dir"):
                decayed.append(Path(cache.oid_to_path(name)))
                decayed[-1].unlink(missing_ok=True)
    return decayed


def _named_files(out: "Output") -> Iterator[tuple[Path, str]]:
    """Yield the files of an output with their names in the cache; of a folder also the list of its files."""
    from dvc_data.hashfile.tree import Tree

    name = out.hash_info.value if out.hash_info and out.hash_info.name == "md5" else None
    if name is None:
        return
    content = out.get_obj() if out.use_cache else None
    if isinstance(content, Tree):
        yield Path(out.cache.oid_to_path(name)), name
        for key, _, info in content:
            yield Path(out.fs_path, *key), info.value
    else:
        yield Path(out.fs_path), name

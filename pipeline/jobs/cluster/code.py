"""The code of a project, which a cluster gets whole: it is small, and stages import more of it than they depend on."""

import shutil
from hashlib import sha256
from pathlib import Path

# what stages read besides their dependencies: `config/`, `tracking/`, the parameters, DVC's own files
CODE = ("pipeline", "stages", "params.yaml", "dvc.yaml", "data.dvc")
IGNORED = shutil.ignore_patterns("__pycache__", ".*")


def copy_code(root: Path, folder: Path) -> None:
    """Copy the code of the project `root` into `folder`, which is made anew."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    for path in (root / name for name in CODE):
        if path.is_dir():
            shutil.copytree(path, folder / path.name, ignore=IGNORED)
        elif path.exists():
            shutil.copy2(path, folder)


def digest_code(root: Path) -> str:
    """Return a digest of the code in a project, or in a folder that `copy_code` made."""
    digest = sha256()
    for start in (root / name for name in CODE):
        for path in (start, *sorted(start.rglob("*"))):
            parts = path.relative_to(root).parts
            if path.is_file() and "__pycache__" not in parts and not any(part.startswith(".") for part in parts):
                content = path.read_bytes()
                digest.update(f"{'/'.join(parts)} {len(content)} ".encode() + content)
    return digest.hexdigest()


def is_code(path: str) -> bool:
    """Return whether a path from the root is a part of the code."""
    return Path(path).parts[0] in CODE

"""Presets: files of presets/ that hold what differs from the default parameters, merged into params.yaml.

Mappings merge key by key; lists and single values are replaced. `matrix` names every cell of the preset, in its order;
a key that a cell leaves out is taken from the cell of this name in the default. Comments of params.yaml stay.
"""

import re
from collections.abc import Iterator, Mapping
from io import StringIO
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML, YAMLError

from pipeline.config.params import parse_params
from pipeline.core.errors import PipelineError
from pipeline.core.files import write_text
from pipeline.raw.format import require_absent
from pipeline.tools.git import read_files
from pipeline.tracking.provenance import run_git

PARAMS = Path("params.yaml")
BACKUP = Path("params.default.yaml")  # the default parameters, where Git has none
PRESETS = Path("presets")
TITLE = "# Preset {}: {} merged over the default parameters. Back to what was here before: {}\n"
TITLE_PATTERN = re.compile(r"# Preset ([^:\s]+): ")
RESTORE = f"git restore {PARAMS}"


def apply_preset(name: str) -> str:
    """Write params.yaml with a preset merged in, and return the command that takes it back.

    Raises PipelineError, and writes nothing, if there is no such preset, if the merged parameters are not valid, or if
    params.yaml holds an edit that Git does not.
    """
    text, committed = _read(PARAMS), _committed("HEAD")
    way_back = RESTORE if committed is not None else f"mv {BACKUP} {PARAMS}"
    default = default_params()
    merged = merge_preset(default, name, way_back)
    if text not in (committed, _as_written(default, text, way_back)):
        if committed is not None:
            raise PipelineError(
                f"{PARAMS}: found changes that are not in Git, expected the file of the last commit: commit them, or "
                f"drop them by `{RESTORE}`"
            )
        _back_up(text)
    write_text(PARAMS, merged)
    return way_back


def write_preset(name: str, out: Path) -> None:
    """Write the default parameters with a preset merged in to a new file `out`; raises PipelineError if it exists."""
    require_absent(out)
    write_text(out, merge_preset(default_params(), name, f"rm {out}"))


def default_params() -> str:
    """Return the text of the default parameters: the newest params.yaml into which no preset was merged.

    That is the file itself, else its backup, else the newest one in Git's history. Raises PipelineError without any.
    """
    text = _read(PARAMS)
    if not _preset_of(text):
        return text
    for former in _former_params():
        if not _preset_of(former):
            return former
    raise PipelineError(
        f"{PARAMS}: found the preset {_preset_of(text)}, and neither Git nor {BACKUP} holds the default parameters; "
        f"expected one of them: write the default to {BACKUP}"
    )


def merge_preset(default: str, name: str, way_back: str) -> str:
    """Return `default` with presets/`name`.yaml merged in, valid and with a title that names the way back.

    Raises PipelineError if there is no such preset or either file is not valid.
    """
    path = PRESETS / f"{name}.yaml"
    names = sorted(each.stem for each in PRESETS.glob("*.yaml"))
    if name not in names:
        raise PipelineError(f"{path}: found no such preset, expected one of {', '.join(names)}")
    parse_params(default, str(PARAMS))
    params, preset = _yaml().load(default), _load(path)
    _merge_with_cells(params, preset)
    stream = StringIO()
    _yaml().dump(params, stream)
    parse_params(stream.getvalue(), f"{path} merged over {PARAMS}")
    return TITLE.format(name, path, way_back) + stream.getvalue()


def _merge_with_cells(params: Any, preset: Mapping[str, Any]) -> None:
    """Merge `preset` into `params` in place; its matrix names the cells that are left, in their order."""
    cells = preset.get("matrix")
    names = list(cells) if isinstance(cells, Mapping) else list(params["matrix"])
    for name in [name for name in params["matrix"] if name not in names]:
        del params["matrix"][name]
    _merge(params, preset)
    for name in names if isinstance(params["matrix"], Mapping) else ():
        params["matrix"].move_to_end(name)


def _merge(params: Any, preset: Mapping[str, Any]) -> None:
    """Merge `preset` into `params` in place, key by key."""
    for key, value in preset.items():
        if isinstance(value, Mapping) and isinstance(params.get(key), Mapping):
            _merge(params[key], value)
        else:
            params[key] = value


def _back_up(text: str) -> None:
    """Write params.default.yaml; raises PipelineError if other parameters stand there."""
    if _preset_of(text) or (BACKUP.exists() and _read(BACKUP) != text):
        raise PipelineError(
            f"{PARAMS}: found an edit that neither Git nor {BACKUP} holds, expected a preset as it was written: move "
            f"{PARAMS} away, then `mv {BACKUP} {PARAMS}`"
        )
    write_text(BACKUP, text)


def _as_written(default: str, text: str, way_back: str) -> str | None:
    """Return what the preset in the title of `text` writes; None without such a preset."""
    try:
        return merge_preset(default, _preset_of(text), way_back)
    except PipelineError:
        return None


def _preset_of(text: str) -> str:
    """Return the name of the preset that was merged into a params.yaml; "" if none was."""
    title = TITLE_PATTERN.match(text)
    return title[1] if title else ""


def _former_params() -> Iterator[str]:
    """Iterate over the texts of the backup and of the commits that changed params.yaml, the newest first."""
    if BACKUP.exists():
        yield _read(BACKUP)
    for commit in (run_git("log", "--format=%H", "--", str(PARAMS)) or b"").decode().split():
        if text := _committed(commit):
            yield text


def _committed(commit: str) -> str | None:
    """Return the params.yaml of a commit; None without one."""
    return read_files(commit, str(PARAMS)).get(str(PARAMS))


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except FileNotFoundError:
        raise PipelineError(f"{path}: not found; run from the top of the repository") from None
    except UnicodeDecodeError as error:
        raise PipelineError(f"{path}: not valid YAML: {error}") from None


def _load(path: Path) -> Any:
    try:
        content = _yaml().load(_read(path))
    except YAMLError as error:
        raise PipelineError(f"{path}: not valid YAML: {' '.join(str(error).split())}") from None
    if not isinstance(content, Mapping):
        raise PipelineError(f"{path} is {content!r}: expected sections of params.yaml")
    return content


def _yaml() -> YAML:
    """Return a reader and writer that keeps comments, order and the spelling of numbers."""
    yaml = YAML()
    yaml.width = 4096  # lists stay on their lines
    yaml.representer.add_representer(
        type(None), lambda representer, _: representer.represent_scalar("tag:yaml.org,2002:null", "null")
    )
    return yaml

"""The text of params.yaml as plain values: no key twice in a section, no aliases that grow without end."""

from pathlib import Path
from typing import Any

import yaml

from pipeline.core.errors import PipelineError

MAX_BYTES = 100_000  # the default parameters take a tenth
MAX_VALUES = 100_000  # once each alias is replaced by what it stands for


def read_text(path: Path) -> str:
    """Return the text of a file; raises PipelineError if it is absent, unreadable, too large or no UTF-8."""
    try:
        with path.open("rb") as file:
            content = file.read(MAX_BYTES + 1)
        if len(content) > MAX_BYTES:
            raise PipelineError(
                f"{path}: found over {MAX_BYTES:,} bytes, expected a tenth of them; `git restore {path}` brings the "
                "committed file back"
            )
        return content.decode()
    except FileNotFoundError:
        raise PipelineError(f"{path}: not found; run from the top of the repository") from None
    except OSError as error:
        raise PipelineError(f"{path}: cannot be read: {error.strerror}") from None
    except UnicodeDecodeError as error:
        raise PipelineError(f"{path}: not valid YAML: {' '.join(str(error).split())}") from None


def parse_yaml(text: str) -> Any:
    """Return the plain values of a YAML text.

    Raises ValueError for a key that its section has twice, and for aliases that refer to themselves or make more than
    MAX_VALUES values; and YAMLError for a text that is no YAML.
    """
    loader = yaml.SafeLoader(text)
    try:
        node = loader.get_single_node()
        if node is None:
            return None
        _count_values(node, "", {})
        return loader.construct_document(node)
    finally:
        loader.dispose()


def _count_values(node: yaml.Node, name: str, counts: dict[yaml.Node, int]) -> int:
    """Return the number of values in a node with the key `name`; `counts` are those of the nodes before it."""
    if node in counts:  # an alias; of a node that is not yet counted, it is inside of itself
        return counts[node] or _refuse(node, name)
    counts[node] = 0
    if isinstance(node, yaml.MappingNode):
        _refuse_repeated_keys(node, name)
        children = [(_join(name, key), value) for key, value in node.value]
    else:
        children = [(name, each) for each in node.value] if isinstance(node, yaml.SequenceNode) else []
    count = 1 + sum(_count_values(child, key, counts) for key, child in children)
    counts[node] = count if count <= MAX_VALUES else _refuse(node, name)
    return count


def _refuse(node: yaml.Node, name: str) -> int:
    raise ValueError(
        f"{name or 'the file'}, line {node.start_mark.line + 1}: found aliases that make over {MAX_VALUES:,} values; "
        "expected fewer; write the values out"
    )


def _refuse_repeated_keys(node: yaml.MappingNode, name: str) -> None:
    """Raise ValueError if a section has a key twice, of which YAML would silently take the last."""
    lines: dict[str, int] = {}
    for key, _ in node.value:
        if isinstance(key, yaml.ScalarNode):
            line = key.start_mark.line + 1
            if key.value in lines:
                raise ValueError(
                    f"{_join(name, key)} stands in line {lines[key.value]} and in line {line}; expected it once; "
                    "remove one of the two"
                )
            lines[key.value] = line


def _join(section: str, key: yaml.Node) -> str:
    """Return the full name of a key; one that is a section or a list itself has no name."""
    name = key.value if isinstance(key, yaml.ScalarNode) else "?"
    return f"{section}.{name}" if section else name

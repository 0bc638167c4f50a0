"""Errors in params.yaml, by full key; an unknown key suggests the nearest known one."""

from collections.abc import Mapping, Sequence
from difflib import get_close_matches
from typing import Any, NamedTuple

from pipeline.core.errors import printable

# Keys of params.yaml before version 0.2.0 whose new names are not near by spelling.
RENAMED = {
    "batch": ("batch_size",),
    "branch": ("channels",),
    "clip": ("grad_clip_norm",),
    "counts": ("scene_counts", "label_counts"),
    "embed": ("embed_dim",),
    "everything": ("full",),
    "head": ("head_dims",),
    "heads": ("num_heads",),
    "hidden": ("hidden_dims",),
    "projector": ("projector_only",),
    "shared": ("shared_channels",),
    "steps": ("min_steps_per_epoch",),
    "warmup": ("warmup_fraction",),
}
MAX_VALUE = 200  # characters shown of a value that is refused
MAX_LINE = 10_000  # characters of all errors together
MAX_KEYS = 3  # listed of those that share a suggestion
UNKNOWN = ("unexpected_keyword_argument", "extra_forbidden")
NO_SECTION = ("dataclass_type", "dict_type")


class Suggestion(NamedTuple):
    """A key that is not known, and the nearest one that is."""

    section: str  # with its dot: "fusion.", or "" at the top
    found: str
    known: str


def format_errors(errors: Sequence[Mapping[str, Any]], schema: Mapping[str, Any]) -> str:
    """Return pydantic's errors as one line. `schema` is the JSON schema against which they were found.

    Unknown keys with one suggestion are listed together; the suggested key is then not reported as missing.
    """
    suggestions = [each for error in errors if error["type"] in UNKNOWN if (each := _suggest(error["loc"], schema))]
    unknown, meant = ({each.section + each[place] for each in suggestions} for place in (1, 2))
    others = [
        _format(error)
        for error in errors
        if _full_key(error["loc"]) not in (meant if error["type"] == "missing" else unknown)
    ]
    return printable("; ".join([*others, *_join(suggestions)]), MAX_LINE)


def _format(error: Mapping[str, Any]) -> str:
    """Return one error of pydantic as `section.key: what was found, what was expected`."""
    name = _full_key(error["loc"])
    if error["type"] == "missing":
        return f"{name} is missing: add it"
    if error["type"] in UNKNOWN:
        return f"{name} is not a known key: remove it or fix the spelling"
    found = printable(repr(error["input"]), MAX_VALUE)
    if error["type"] in NO_SECTION:
        return f"{name or 'the file'} is {found}: expected a section of keys"
    message = error["msg"].removeprefix("Value error, ")
    return f"{name} is {found}: {message}" if name else message


def _full_key(loc: Sequence[str | int]) -> str:
    return ".".join(str(part) for part in loc if part != "[key]")  # pydantic's mark of a refused key


def _suggest(loc: Sequence[str | int], schema: Mapping[str, Any]) -> Suggestion | None:
    """Return the known key that is meant by the unknown one at `loc`, if one is near."""
    *section, found = (str(part) for part in loc)
    known = _known_keys(section, schema)
    near = [key for key in RENAMED.get(found, ()) if key in known] or get_close_matches(found, known, n=1)
    return Suggestion("".join(f"{part}." for part in section), found, near[0]) if near else None


def _known_keys(section: Sequence[str], schema: Mapping[str, Any]) -> list[str]:
    """Return the keys that a section of params.yaml may have, by the JSON schema."""
    node = schema
    for part in (*section, None):
        node = next((each for each in node.get("anyOf", ()) if each.get("type") != "null"), node)
        node = schema["$defs"][node["$ref"].rsplit("/", 1)[1]] if "$ref" in node else node
        if part is not None:
            node = node.get("properties", {}).get(part) or node["additionalProperties"]
    return list(node.get("properties", {}))


def _join(suggestions: Sequence[Suggestion]) -> list[str]:
    """Return a sentence for each pair of found and known key, with the sections in which the found key stands."""
    sections: dict[tuple[str, str], list[str]] = {}
    for section, found, known in suggestions:
        sections.setdefault((found, known), []).append(section)
    return [_ask(found, known, places) for (found, known), places in sections.items()]


def _ask(found: str, known: str, sections: Sequence[str]) -> str:
    if len(sections) == 1:
        return f"{sections[0]}{found} is not a known key: did you mean {sections[0]}{known}?"
    keys, more = [section + found for section in sections[:MAX_KEYS]], len(sections) - MAX_KEYS
    listed = ", ".join(keys) + (f" and {more} more" if more > 0 else "")
    return f"{listed} are not known keys: did you mean {known}?"

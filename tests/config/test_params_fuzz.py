"""Any value anywhere in params.yaml, and any text: parameters, or one printable line; never another error."""

from typing import Any

import yaml
from hypothesis import given
from hypothesis import strategies as st

from pipeline.config.params import Params, parse_params
from pipeline.core.errors import PipelineError
from support.presets import preset_params
from support.properties import FEW

SCALARS = st.one_of(st.none(), st.booleans(), st.integers(), st.floats(), st.text(max_size=20))
VALUES = st.recursive(
    SCALARS,
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(st.text(max_size=8), inner, max_size=3)),
    max_leaves=6,
)


def paths(node: Any, above: tuple = ()) -> list[tuple]:
    """Return the path to every key of nested sections."""
    if not isinstance(node, dict):
        return []
    return [path for key, value in node.items() for path in ((*above, key), *paths(value, (*above, key)))]


def load(text: str) -> None:
    try:
        assert isinstance(parse_params(text, "params.yaml"), Params)
    except PipelineError as error:
        assert str(error).startswith("params.yaml: ") and str(error).isprintable() and len(str(error)) < 11_000


@FEW
@given(data=st.data())
def test_any_value_in_place_of_any_other(data: st.DataObject) -> None:
    params = smoke()
    *sections, key = data.draw(st.sampled_from(paths(params)))
    place = params
    for section in sections:
        place = place[section]
    if data.draw(st.booleans()):
        place[key] = data.draw(VALUES)
    else:
        place[data.draw(st.text(max_size=12))] = place.pop(key)
    load(yaml.safe_dump(params, sort_keys=False, allow_unicode=True))


def smoke() -> dict[str, Any]:
    return yaml.load(preset_params("smoke"), yaml.CSafeLoader)


@FEW
@given(st.one_of(st.text(max_size=80), st.text(alphabet="[]{}:,-&*!|>%@`'\"#?~ \n\ta1", max_size=80)))
def test_any_text(text: str) -> None:
    load(text)

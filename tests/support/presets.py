"""Parameters to test with: the repository's presets. params.yaml itself is the user's to change."""

from contextlib import chdir
from functools import cache

from pipeline.tools.presets import default_params, merge_preset
from support.commands import ROOT


@cache
def preset_params(name: str) -> str:
    """Return the text of params.yaml with a preset of the repository merged in."""
    with chdir(ROOT):
        return merge_preset(default_params(), name, "")

"""The written account of the data: balance, what was left out, leaks, and what a net could get without seeing a shape.

Every number is computed from the arguments.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from pipeline.core.sensors import CLASSES
from pipeline.data.splits import SPLITS
from pipeline.report.dataset.trivial_baselines import Shortcut
from pipeline.report.significance import wilson_interval
from pipeline.results.prose import counted, joined

SHOWN = 10  # faults listed, the rest is counted
KINDS = {  # a warning in words, of one and of several; copies have sentences of their own
    "stray": ("stray file or folder", "stray files or folders"),
    "nested": ("folder within a folder of its kind", "folders within a folder of their kind"),
    "gap": ("gap in the scene numbers", "gaps in the scene numbers"),
    "imbalance": ("class with fewer files than the other", "classes with fewer files than the other"),
    "no-return": ("LiDAR frame without a return", "LiDAR frames without a return"),
    "black": ("black picture", "black pictures"),
}
COPIES = {"duplicate", "near-duplicate"}
MEASURES = {"returns": "the number of LiDAR returns", "lit": "that of lit pixels", "brightness": "their brightness"}


def account(data: Mapping[str, Any], found: Mapping[str, Shortcut], chance: float) -> str:
    """Markdown. `data` are the metrics of prepare, `found` what single numbers tell, `chance` is the test split's."""
    test = sum(data["test"].values())
    return "\n\n".join(
        [
            f"{_balance(data, chance)} {_left_out(data)}",
            *_faults(data["left_out"]["faults"]),
            f"{_warnings(data['warnings'])} {_copies(data)}",
            _shortcuts(found, chance, test) + "\n",
        ]
    )


def _balance(data: Mapping[str, Any], chance: float) -> str:
    if all(data[split][CLASSES[0]] == data[split][CLASSES[1]] for split in SPLITS):
        return (
            f"Every split holds as many cubes as spheres: an answer without knowledge is right in {chance:.4f} of the "
            "test pairs, the chance level of every accuracy on this page."
        )
    counts = joined(f"{data[split]['cubes']:,} to {data[split]['spheres']:,} ({split})" for split in SPLITS)
    return (
        f"Cubes and spheres are not balanced: {counts}. Always naming the more frequent class is right in {chance:.4f} "
        "of the test pairs, the chance level of every accuracy on this page."
    )


def _left_out(data: Mapping[str, Any]) -> str:
    spare, left = data["not_asked_for"], data["left_out"]
    asked = f"{counted(spare, 'pair')} lie in no split, since fewer scenes were asked for. " if spare else ""
    if not left["faults"]:
        return asked + ("No fault was found." if spare else "No pair was left out.")
    return f"{asked}{counted(left['pairs'], 'pair')}, whole or half, had to be left out. What was found wrong:"


def _faults(faults: Sequence[Mapping[str, str]]) -> Iterator[str]:
    """A list, cut and counted; file names and what stands in files are somebody else's text and shown as such."""
    if faults:
        lines = [
            f"- {fault['kind']}: {verbatim(fault['path'])}, found {plain(fault['found'])}"
            + (f" (scene {fault['scenes']})" if fault["scenes"] else "")
            for fault in faults[:SHOWN]
        ]
        hidden = len(faults) - SHOWN
        yield "\n".join(lines + ([f"- and {hidden:,} more, in `../prepare/metrics.json`"] if hidden > 0 else []))


def verbatim(text: str) -> str:
    """Any text as Markdown code on one line: within a longer run of backticks than it has itself."""
    line = " ".join(text.split())
    fence = "`" * (1 + max(map(len, re.findall("`+", line)), default=0))
    return f"{fence} {line} {fence}" if "`" in line else f"{fence}{line}{fence}"


def plain(text: str) -> str:
    """Any text as a line of Markdown without marks: what could be one is escaped."""
    return re.sub(r"([\\`*_\[\]<>&|~!#])", r"\\\1", " ".join(text.split()))


def _warnings(warnings: Mapping[str, int]) -> str:
    told = [
        f"{count:,} {KINDS.get(kind, (plain(kind), plain(kind)))[count != 1]}"
        for kind, count in warnings.items()
        if kind not in COPIES
    ]
    if told:
        return f"Odd but harmless, and left as it is: {joined(told)}."
    return "There was no other warning." if warnings else "There was no warning."


def _copies(data: Mapping[str, Any]) -> str:
    """The leak check: `prepare` raises or leaves out what would lie in two splits."""
    same, near = data["duplicates"], data["near_duplicates"]
    checked = (
        "The cube and the sphere of a scene lie in the same split, and no frame lies in two: `prepare` sees to it."
    )
    within = f"Frames that repeat another of their class, bit for bit: {same:,}." if same else "No frame occurs twice."
    across = (
        f"Pairs that look nearly like one of another split, and may flatter test figures: {near:,}."
        if near
        else "No pair looks nearly like one of another split."
    )
    return f"{checked} {within} {across}"


def _shortcuts(found: Mapping[str, Shortcut], chance: float, test: int) -> str:
    """Whether a net must have seen a shape to score as it does."""
    best = max(found, key=lambda name: found[name].train)  # as a net is chosen: not by the test split
    told = joined(f"{found[name].test:.4f} by {words}" for name, words in MEASURES.items())
    first = (
        "How much does a single number of a frame give away? A threshold found on the training split names the class "
        f"of the test pairs with accuracy {told}, beside chance {chance:.4f}."
    )
    low, _ = wilson_interval(round(found[best].test * test), test)
    if low > chance:
        return (
            f"{first} A net has to beat {found[best].test:.4f} before its accuracy says that it knows the shape: up to "
            f"there, {MEASURES[best]} would do."
        )
    return f"{first} On {counted(test, 'test pair')} that is not shown to be above chance."

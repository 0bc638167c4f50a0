"""Where among the names of a folder or archive the raw contract's files stand: at any depth, nested once too often.

Names alone are looked at, except that a frame which is there twice is read to see whether both are the same.
"""

import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import NamedTuple

from pipeline.core.errors import printable
from pipeline.core.sensors import CLASSES, SENSORS
from pipeline.raw.format import DataError, Issue

HOME = rf"(?P<home>(?:.*/)?(?P<name>{'|'.join(CLASSES)}))"  # the folder of a class; the last of that name counts
FRAME = re.compile(
    rf"{HOME}/(?P<sensor>rgb|lidar)(?P<again>/(?P=sensor))?/(?P<stem>[0-9]{{1,9}})(?P<suffix>\.\w+)", re.I | re.A
)
ANGLE = re.compile(rf"{HOME}/(?P<angle>azimuth|zenith)\.npy", re.I)
JUNK = {"__macosx", "thumbs.db", "desktop.ini"}  # besides hidden files


class Layout(NamedTuple):
    """Files under contract names -> their names inside, and what was tolerated."""

    files: dict[str, str]
    notes: list[str]


class Place(NamedTuple):
    """A file that looks like one of the contract's."""

    contract: str
    home: str
    kind: str  # class
    path: str
    nested: bool  # in lidar/lidar and the like


def locate(tree: Mapping[str, str], read: Callable[[str], bytes], place: Callable[[str], Path]) -> Layout | None:
    """The one set of a tree of paths, `/` between names, each with its name inside the source; None if there is none.

    Raises DataError for more than one set, for two names of one scene, and for a frame that is there twice and
    differs.
    """
    useful = [path for path in tree if not _is_junk(path)]
    places = [found for path in useful if (found := _locate(path))]
    if not any(found.contract.count("/") == 2 for found in places):
        return None
    root, homes = _choose(places, place)
    taken = [found for found in places if found.home in homes]
    by_name: dict[str, list[str]] = {}
    for found in taken:
        by_name.setdefault(found.contract, []).append(tree[found.path])
    files, twice = _settle(by_name, read, place)
    notes = [*_habits(root, taken), *twice, *_passed_over(useful, taken, len(tree) - len(useful))]
    return Layout(files, notes)


def _is_junk(path: str) -> bool:
    return any(part.startswith(".") or part.lower() in JUNK for part in path.split("/"))


def _locate(path: str) -> Place | None:
    if match := FRAME.fullmatch(path):
        sensor = match["sensor"].lower()
        if match["suffix"].lower() == SENSORS[sensor]:
            kind = match["name"].lower()
            contract = f"{kind}/{sensor}/{int(match['stem']):04d}{SENSORS[sensor]}"
            return Place(contract, match["home"], kind, path, match["again"] is not None)
    elif match := ANGLE.fullmatch(path):
        kind = match["name"].lower()
        return Place(f"{kind}/{match['angle'].lower()}.npy", match["home"], kind, path, False)
    return None


# --- which set


def _choose(places: Iterable[Place], place: Callable[[str], Path]) -> tuple[str | None, set[str]]:
    """The folder that holds the set (None: its classes lie apart) and those of its classes; raises DataError."""
    framed = {(found.home, found.kind) for found in places if found.contract.count("/") == 2}
    kinds: dict[str, set[str]] = {}
    for home, kind in framed:
        for root in _roots(home, kind):
            kinds.setdefault(root, set()).add(kind)
    complete = sorted(root for root, held in kinds.items() if len(held) == len(CLASSES))
    single = len({kind for _, kind in framed}) == len(framed)  # one home a class: `a/cubes` with `b/spheres`
    if len(complete) > 1 or not (complete or single):
        where = complete or sorted(home for home, _ in framed)
        listed = ", ".join(f"{name or '.'}/" for name in where[:5])
        found = f"{len(where)} sets: in {listed}"
        raise DataError(Issue("ambiguous", place(""), found, "one", "name the folder of the one you mean"))
    if not complete:
        return None, {found.home for found in places if (found.home, found.kind) in framed}
    root = complete[0]
    return root, {found.home for found in places if root in _roots(found.home, found.kind)}


def _roots(home: str, kind: str) -> set[str]:
    """Folders whose set this may be a class of: `x` for `x/cubes`; `x` and `x/cubes` for `x/cubes/cubes`."""
    parent = home.rpartition("/")[0]
    above, _, name = parent.rpartition("/")
    return {parent, above} if name.lower() == kind else {parent}


# --- which file


def _settle(
    by_name: dict[str, list[str]], read: Callable[[str], bytes], place: Callable[[str], Path]
) -> tuple[dict[str, str], list[str]]:
    """One file for every name of the contract; raises DataError with all that cannot be decided."""
    faults, twice = [], 0
    for contract, inside in by_name.items():
        if len(inside) == 1:
            continue
        twice += 1
        inside.sort(key=lambda name: (len(name), name))
        first, second = inside[:2]
        try:
            if first.rpartition("/")[0] == second.rpartition("/")[0]:
                fix = "remove one"
                faults.append(Issue("two-names", place(second), f"{contract} as in {first}", "one name", fix))
            elif any(read(other) != read(first) for other in inside[1:]):
                fix = "keep the right one and remove the other"
                faults.append(Issue("two-versions", place(second), f"other bytes than {first}", "the same", fix))
        except DataError as error:
            faults += error.args
    if faults:
        raise DataError(*faults)
    notes = [f"there twice with the same bytes, and taken once: {twice:,}"] if twice else []
    return {contract: inside[0] for contract, inside in by_name.items()}, notes


# --- what to say of it


def _habits(root: str | None, taken: list[Place]) -> Iterator[str]:
    """What the set does otherwise than the contract and was understood."""
    if root:
        yield f"the set stands in {printable(root)}/"
    if root is None and len(homes := sorted({found.home for found in taken})) > 1:
        yield f"its classes stand apart, in {' and '.join(f'{printable(home)}/' for home in homes)}"
    if deep := [found.path for found in taken if found.nested or _is_class_twice(root, found.home)]:
        yield _several(deep, "file lies a folder deeper than it should", "files lie a folder deeper than they should")
    for what, unlike in (
        ("in other letters", lambda found: _tail(found) != _tail(found).lower()),
        ("with other digits", lambda found: found.path.rpartition("/")[2].lower() != found.contract.rpartition("/")[2]),
    ):
        if paths := [found.path for found in taken if unlike(found)]:
            yield _several(paths, f"file is named {what}", f"files are named {what}")


def _passed_over(useful: list[str], taken: list[Place], junk: int) -> Iterator[str]:
    known = {found.path for found in taken}
    if others := [path for path in useful if path not in known]:
        yield _several(others, "other file was passed over", "other files were passed over")
    if junk:
        yield f"{junk:,} hidden files (.DS_Store, __MACOSX and the like) were passed over"


def _is_class_twice(root: str | None, home: str) -> bool:
    """`x/cubes/cubes` in a set that stands in `x`."""
    return root is not None and "/" in home.removeprefix(root).strip("/")


def _tail(found: Place) -> str:
    """The part of a path that the contract has a word on: from the class on."""
    return found.path[len(found.home) - len(found.kind) :]


def _several(paths: list[str], one: str, more: str) -> str:
    return (
        f"1 {one}: {printable(paths[0])}"
        if len(paths) == 1
        else f"{len(paths):,} {more}, such as {printable(paths[0])}"
    )

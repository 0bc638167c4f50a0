"""Where the files of the raw layout lie among the names of a folder or archive: at any depth, or nested once too often.

Only names are looked at, except that a frame which occurs twice is read, to see whether both files are equal.
"""

import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path, PurePosixPath
from typing import NamedTuple

from pipeline.core.errors import printable
from pipeline.core.sensors import CLASS_NAMES, CLASSES, SENSORS
from pipeline.raw.format import DataError, Issue

CLASS_FOLDER = rf"(?P<folder>(?:.*/)?(?P<name>{'|'.join(CLASSES)}))"  # the last folder of such a name counts
FRAME = re.compile(
    rf"{CLASS_FOLDER}/(?P<sensor>rgb|lidar)(?P<again>/(?P=sensor))?/(?P<stem>[0-9]{{1,9}})(?P<suffix>\.\w+)",
    re.I | re.A,
)
ANGLE = re.compile(rf"{CLASS_FOLDER}/(?P<angle>azimuth|zenith)\.npy", re.I)
JUNK = {"__macosx", "thumbs.db", "desktop.ini"}  # besides hidden files


class Layout(NamedTuple):
    """The located set: raw path -> member, and notes on what deviates from the raw layout."""

    files: dict[str, str]
    notes: list[str]


class RawFile(NamedTuple):
    """A path that fits the raw layout."""

    raw_path: str  # where the raw layout has the file
    class_folder: str  # the folder of its class, as it is spelt
    class_name: str
    path: str
    member: str
    nested: bool  # lies in lidar/lidar or rgb/rgb

    @property
    def is_frame(self) -> bool:
        """Return whether the file is a frame; otherwise it holds angles."""
        return self.raw_path.count("/") == 2


def locate(paths: Mapping[str, str], read: Callable[[str], bytes], display: Callable[[str], Path]) -> Layout | None:
    """Return the one set among the members of a source; None where no path is a frame.

    `paths` maps a member to its path, `/` between names; `read` returns the bytes of a member, `display` its path for
    messages ("": the source as a whole). Raises DataError for more than one set, for two names of one frame, and for a
    frame that occurs twice with different bytes.
    """
    visible = {member: path for member, path in paths.items() if not _is_junk(path)}
    candidates = [file for member, path in visible.items() if (file := _match(member, path))]
    if not any(file.is_frame for file in candidates):
        return None
    root, class_folders = _choose_set(candidates, display)
    chosen = [file for file in candidates if file.class_folder in class_folders]
    members: dict[str, list[str]] = {}
    for file in chosen:
        members.setdefault(file.raw_path, []).append(file.member)
    files, duplicates = _choose_members(members, read, display)
    notes = [*_describe_deviations(root, chosen)]
    notes += [f"found twice with equal bytes and read once: {duplicates:,}"] if duplicates else []
    notes += _describe_ignored(list(visible.values()), chosen, len(paths) - len(visible))
    return Layout(files, notes)


def with_slashes(path: str) -> str:
    r"""Return a path with `/` between its names, where Windows writes `\`."""
    return path.replace("\\", "/")


def note_backslashes(paths: Iterable[str]) -> list[str]:
    r"""Return a note on the paths that have `\` between names; none where there is no such path."""
    found = [path for path in paths if "\\" in path]
    return [f"{len(found):,} names have \\ between folders, such as {printable(found[0])}"] if found else []


def files_differ(first: str, second: str) -> bool:
    """Return whether the paths of two files name different classes, or hold numbers and none in common.

    A last `-2`, which FiftyOne appends to a name that exists, does not count.
    """
    paths = [with_slashes(path) for path in (first, second)]
    stems = [re.sub(r"(?<=\d)-\d+$", "", PurePosixPath(path).stem) for path in paths]
    numbers = [{int(digits) for digits in re.findall("[0-9]+", stem)} for stem in stems]
    classes = [{name for name in CLASS_NAMES if name in path.lower()} for path in paths]
    return any(all(pair) and pair[0].isdisjoint(pair[1]) for pair in (numbers, classes))


def _is_junk(path: str) -> bool:
    return any(part.startswith(".") or part.lower() in JUNK for part in path.split("/"))


def _match(member: str, path: str) -> RawFile | None:
    if match := FRAME.fullmatch(path):
        sensor, name = match["sensor"].lower(), match["name"].lower()
        if match["suffix"].lower() != SENSORS[sensor]:
            return None
        raw_path = f"{name}/{sensor}/{int(match['stem']):04d}{SENSORS[sensor]}"
        return RawFile(raw_path, match["folder"], name, path, member, match["again"] is not None)
    if match := ANGLE.fullmatch(path):
        name = match["name"].lower()
        return RawFile(f"{name}/{match['angle'].lower()}.npy", match["folder"], name, path, member, False)
    return None


# --- which set


def _choose_set(candidates: Iterable[RawFile], display: Callable[[str], Path]) -> tuple[str | None, set[str]]:
    """Return the folder that holds the set (None: its classes lie apart) and its class folders; raises DataError."""
    with_frames = {(file.class_folder, file.class_name) for file in candidates if file.is_frame}
    classes: dict[str, set[str]] = {}
    for folder, name in with_frames:
        for root in _possible_roots(folder, name):
            classes.setdefault(root, set()).add(name)
    complete = sorted(root for root, names in classes.items() if len(names) == len(CLASSES))
    one_folder_each = len({name for _, name in with_frames}) == len(with_frames)  # `a/cubes` with `b/spheres`
    if len(complete) > 1 or not (complete or one_folder_each):
        folders = complete or sorted(folder for folder, _ in with_frames)
        listed = ", ".join(f"{folder or '.'}/" for folder in folders[:5])
        found = f"{len(folders)} sets: in {listed}"
        raise DataError(Issue("ambiguous", display(""), found, "one", "name the folder of the one you mean"))
    if not complete:
        return None, {file.class_folder for file in candidates if (file.class_folder, file.class_name) in with_frames}
    root = complete[0]
    return root, {
        file.class_folder for file in candidates if root in _possible_roots(file.class_folder, file.class_name)
    }


def _possible_roots(class_folder: str, name: str) -> set[str]:
    """Return the possible folders of the class's set: `x` for `x/cubes`; `x` and `x/cubes` for `x/cubes/cubes`."""
    parent = class_folder.rpartition("/")[0]
    above, _, parent_name = parent.rpartition("/")
    return {parent, above} if parent_name.lower() == name else {parent}


# --- which file


def _choose_members(
    members: Mapping[str, list[str]], read: Callable[[str], bytes], display: Callable[[str], Path]
) -> tuple[dict[str, str], int]:
    """Return one member for every raw path, and how many raw paths had several; raises DataError for all conflicts."""
    issues: list[Issue] = []
    files, duplicates = {}, 0
    for raw_path, unordered in members.items():
        first, *others = sorted(unordered, key=lambda member: (len(member), member))
        files[raw_path] = first
        if not others:
            continue
        duplicates += 1
        second = others[0]
        try:
            if first.rpartition("/")[0] == second.rpartition("/")[0]:
                issues.append(
                    Issue("two-names", display(second), f"{raw_path} as in {first}", "one name", "remove one")
                )
            elif any(read(other) != read(first) for other in others):
                hint = "keep the right one and remove the other"
                issues.append(Issue("two-versions", display(second), f"other bytes than {first}", "equal ones", hint))
        except DataError as error:
            issues += error.args
    if issues:
        raise DataError(*issues)
    return files, duplicates


# --- notes


def _describe_deviations(root: str | None, chosen: list[RawFile]) -> Iterator[str]:
    """Yield a note for every way in which the set deviates from the raw layout."""
    if root:
        yield f"the set lies in {printable(root)}/"
    if root is None and len(folders := sorted({file.class_folder for file in chosen})) > 1:
        yield f"its classes lie apart, in {' and '.join(f'{printable(folder)}/' for folder in folders)}"
    if deep := [file.path for file in chosen if file.nested or _is_class_twice(root, file.class_folder)]:
        yield _count(deep, "file lies a folder deeper than it should", "files lie a folder deeper than they should")
    if spelt := [file.path for file in chosen if _layout_part(file) != _layout_part(file).lower()]:
        yield _count(spelt, "file is named with capital letters", "files are named with capital letters")
    if padded := [file.path for file in chosen if _file_name(file.path).lower() != _file_name(file.raw_path)]:
        yield _count(padded, "file is named with other digits", "files are named with other digits")


def _describe_ignored(visible: list[str], chosen: list[RawFile], hidden: int) -> Iterator[str]:
    known = {file.path for file in chosen}
    if others := [path for path in visible if path not in known]:
        yield _count(others, "other file was ignored", "other files were ignored")
    if hidden:
        yield f"{hidden:,} hidden files (.DS_Store, __MACOSX and the like) were ignored"


def _is_class_twice(root: str | None, class_folder: str) -> bool:
    """Return whether the class lies in a folder of its own name, as in `x/cubes/cubes` for a set in `x`."""
    return root is not None and "/" in class_folder.removeprefix(root).strip("/")


def _layout_part(file: RawFile) -> str:
    """Return the part of the path that the raw layout prescribes: from the class on."""
    return file.path[len(file.class_folder) - len(file.class_name) :]


def _file_name(path: str) -> str:
    return path.rpartition("/")[2]


def _count(paths: list[str], singular: str, plural: str) -> str:
    if len(paths) == 1:
        return f"1 {singular}: {printable(paths[0])}"
    return f"{len(paths):,} {plural}, such as {printable(paths[0])}"

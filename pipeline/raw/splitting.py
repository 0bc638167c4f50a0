"""Scenes -> train, val, test. A scene is one place and colour, as a cube and as a sphere; it is never parted."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict

import numpy as np

from pipeline.config.params import Prepare
from pipeline.core.errors import PipelineError
from pipeline.data.splits import SPLITS

Shares = Mapping[str, float] | Mapping[str, int]  # of every split: fractions that sum to 1, or numbers of scenes
Splitter = Callable[[np.ndarray, np.ndarray], dict[int, str]]  # scenes (S,), their mean returns (S,) -> scene -> split


def make_splitter(section: Prepare) -> Splitter:
    """The split that params.yaml asks for."""
    shares = asdict(section.fractions if section.scene_counts is None else section.scene_counts)
    if section.split == "course":
        return lambda scenes, _: split_course(scenes, section.course_scenes)
    if section.split == "stratified":
        return lambda scenes, returns: split_stratified(scenes, returns, shares, section.strata, section.seed)
    return lambda scenes, _: split_by_scene(scenes, shares, section.seed)


def split_by_scene(scenes: Sequence[int], shares: Shares, seed: int) -> dict[int, str]:
    """Scene -> split, drawn at random by `seed`. Of `shares` that are numbers, scenes over their sum get none."""
    order = np.random.default_rng(seed).permutation(sorted(set(scenes)))
    return _shared_out(order, shares)


def split_stratified(
    scenes: Sequence[int], returns: Sequence[float], shares: Shares, strata: int, seed: int
) -> dict[int, str]:
    """`by_scene`, with near and far scenes in even shares: drawn from `strata` classes of equal size by their returns.

    The object's shape needs no strata: every scene has one of each, and no scene is parted.
    """
    generator = np.random.default_rng(seed)
    rising = np.asarray(scenes)[np.lexsort([scenes, returns])]
    drawn = [generator.permutation(stratum) for stratum in np.array_split(rising, min(strata, len(rising)))]
    place = np.concatenate([(np.arange(len(each)) + generator.random()) / len(each) for each in drawn])
    return _shared_out(np.concatenate(drawn)[np.argsort(place, kind="stable")], shares)


def split_course(scenes: Sequence[int], held_out: int) -> dict[int, str]:
    """The course's split: the last `held_out` scenes are validation. The as many before them are our test split.

    The course has no test split and selects and reports on one set; ours keeps the two apart.
    """
    order = np.array(sorted(set(scenes)))
    if len(order) <= 2 * held_out:
        raise PipelineError(
            f"prepare.course_scenes: {held_out} scenes each for val and test of {len(order)} in the data leave none to "
            f"train on; expected under half; lower prepare.course_scenes or take prepare.split: scene"
        )
    train, test, val = np.split(order, [len(order) - 2 * held_out, len(order) - held_out])
    return _named([train, val, test])


def _shared_out(order: np.ndarray, shares: Shares) -> dict[int, str]:
    """Scenes in the order in which they were drawn -> scene -> split."""
    ends = np.cumsum([shares[name] for name in SPLITS])
    if isinstance(shares[SPLITS[0]], int):
        if ends[-1] > len(order):
            raise PipelineError(
                f"prepare.scene_counts: {ends[-1]:,} scenes asked for, {len(order):,} in the data; ask for fewer"
            )
        order = order[: ends[-1]]
    else:
        ends = np.round(ends * len(order)).astype(int)
    return _named(np.split(order, ends[:-1]))


def _named(parts: Sequence[np.ndarray]) -> dict[int, str]:
    """Parts in the order of SPLITS; an empty one is refused, since every later figure needs all three."""
    for name, part in zip(SPLITS, parts, strict=True):
        if not len(part):
            raise PipelineError(f"prepare.fractions: split {name} gets no scene; bring more scenes or raise its share")
    return {int(scene): name for name, part in zip(SPLITS, parts, strict=True) for scene in part}

"""Split policies: scenes -> train, val, test. A scene, a cube and a sphere of one place and color, is never divided."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict

import numpy as np

from pipeline.config.params import Prepare
from pipeline.core.errors import PipelineError
from pipeline.data.splits import SPLITS

Shares = Mapping[str, float] | Mapping[str, int]  # split -> fraction, which sum to 1, or number of scenes
Splitter = Callable[[np.ndarray, np.ndarray], dict[int, str]]  # scenes (S,), their mean returns (S,) -> scene -> split


def make_splitter(section: Prepare) -> Splitter:
    """Return the split policy of params.yaml's section `prepare`, as a function of scenes and their mean returns."""
    shares = asdict(section.fractions if section.scene_counts is None else section.scene_counts)
    if section.split == "course":
        return lambda scenes, _: split_course(scenes, section.course_scenes)
    if section.split == "stratified":
        return lambda scenes, returns: split_stratified(scenes, returns, shares, section.strata, section.seed)
    return lambda scenes, _: split_by_scene(scenes, shares, section.seed)


def split_by_scene(scenes: Iterable[int], shares: Shares, seed: int) -> dict[int, str]:
    """Draw a split for every scene at random by `seed`. Where `shares` are numbers, scenes over their sum get none.

    Raises PipelineError for more scenes than there are, and for a split without scenes.
    """
    order = np.random.default_rng(seed).permutation(sorted(set(scenes)))
    return _assign(order, shares)


def split_stratified(
    scenes: Sequence[int] | np.ndarray, returns: Sequence[float] | np.ndarray, shares: Shares, strata: int, seed: int
) -> dict[int, str]:
    """Draw a split for every scene by `seed`, so that near and far scenes are shared out evenly.

    Scenes are ranked by their mean LiDAR returns and drawn from `strata` classes of equal size. The object's shape
    needs no strata: every scene has one of each shape. Raises as `split_by_scene` does.
    """
    generator = np.random.default_rng(seed)
    scenes, returns = np.asarray(scenes), np.asarray(returns)
    ranked = scenes[np.lexsort([scenes, returns])]
    shuffled = [generator.permutation(stratum) for stratum in np.array_split(ranked, min(strata, len(ranked)))]
    # a position in [0, 1) for every scene, evenly spaced within its stratum: any cut takes its share of each stratum
    position = np.concatenate([(np.arange(len(each)) + generator.random()) / len(each) for each in shuffled])
    return _assign(np.concatenate(shuffled)[np.argsort(position, kind="stable")], shares)


def split_course(scenes: Iterable[int], held_out: int) -> dict[int, str]:
    """Split as the course does: the last `held_out` scenes are for validation, as many before them for testing.

    The course itself has no test split: it selects and reports on one set. Raises PipelineError if no scene is left to
    train on.
    """
    order = np.array(sorted(set(scenes)))
    if len(order) <= 2 * held_out:
        raise PipelineError(
            f"prepare.course_scenes: {held_out} scenes each for val and test of {len(order)} in the data leave none to "
            f"train on; expected under half; lower prepare.course_scenes or take prepare.split: scene"
        )
    train, test, val = np.split(order, [len(order) - 2 * held_out, len(order) - held_out])
    return _name_parts([train, val, test])


def _assign(order: np.ndarray, shares: Shares) -> dict[int, str]:
    """Cut scenes, in the order of their draw, into splits by `shares`."""
    ends = np.cumsum([shares[name] for name in SPLITS])
    if isinstance(shares[SPLITS[0]], int):
        if ends[-1] > len(order):
            raise PipelineError(
                f"prepare.scene_counts: {ends[-1]:,} scenes asked for, {len(order):,} in the data; ask for fewer"
            )
        order = order[: ends[-1]]
    else:
        ends = np.round(ends * len(order)).astype(int)
    return _name_parts(np.split(order, ends[:-1]))


def _name_parts(parts: Sequence[np.ndarray]) -> dict[int, str]:
    """Return scene -> split for parts in the order of SPLITS; raises PipelineError for an empty part."""
    for name, part in zip(SPLITS, parts, strict=True):
        if not len(part):
            raise PipelineError(f"prepare.fractions: split {name} gets no scene; bring more scenes or raise its share")
    return {int(scene): name for name, part in zip(SPLITS, parts, strict=True) for scene in part}

"""What holds for all sets of scenes and all shares: no scene is lost, divided or put into two splits."""

from collections import Counter

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from pipeline.core.errors import PipelineError
from pipeline.data.splits import SPLITS
from pipeline.raw.splitting import split_by_scene, split_course, split_stratified
from support.properties import FEW

SCENES = st.sets(st.integers(0, 9999), min_size=1, max_size=80).map(sorted)
COUNTS = st.fixed_dictionaries({name: st.integers(1, 30) for name in SPLITS})
SEEDS = st.integers(0, 2**63 - 1)


@FEW
@given(SCENES, COUNTS, SEEDS, st.booleans(), st.integers(1, 20))
def test_numbers_of_scenes_are_kept_or_refused(
    scenes: list[int], counts: dict[str, int], seed: int, stratified: bool, strata: int
) -> None:
    returns = np.random.default_rng(0).random(len(scenes))
    try:
        if stratified:
            splits = split_stratified(scenes, returns, counts, strata, seed)
        else:
            splits = split_by_scene(scenes, counts, seed)
    except PipelineError:
        assert sum(counts.values()) > len(scenes)
        return
    assert Counter(splits.values()) == counts and set(splits) <= set(scenes)


@FEW
@given(SCENES, st.floats(0.01, 0.98), SEEDS, st.integers(1, 20))
def test_shares_use_every_scene_once(scenes: list[int], train: float, seed: int, strata: int) -> None:
    shares = {"train": train, "val": (1 - train) / 2, "test": (1 - train) / 2}
    returns = np.random.default_rng(1).random(len(scenes))
    for split in (
        lambda: split_by_scene(scenes, shares, seed),
        lambda: split_stratified(scenes, returns, shares, strata, seed),
    ):
        try:
            splits = split()
        except PipelineError as error:
            assert "gets no scene" in str(error)
            continue
        assert sorted(splits) == scenes and set(splits.values()) == set(SPLITS) and split() == splits
        assert all(abs(Counter(splits.values())[name] - share * len(scenes)) <= 1 for name, share in shares.items())


@FEW
@given(SCENES, st.integers(1, 50))
def test_the_courses_split_keeps_the_order_of_the_scenes(scenes: list[int], held_out: int) -> None:
    try:
        splits = split_course(scenes, held_out)
    except PipelineError:
        assert len(scenes) <= 2 * held_out
        return
    assert [splits[scene] for scene in scenes] == (
        ["train"] * (len(scenes) - 2 * held_out) + ["test"] * held_out + ["val"] * held_out
    )

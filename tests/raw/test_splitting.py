import numpy as np
import pytest

from pipeline.config.params import Counts, Fractions, Prepare
from pipeline.core.errors import PipelineError
from pipeline.raw.splitting import make_splitter, split_by_scene, split_course, split_stratified

FRACTIONS = {"train": 0.7, "val": 0.1, "test": 0.2}


def scenes_of(splits: dict[int, str], name: str) -> list[int]:
    return sorted(scene for scene, split in splits.items() if split == name)


# --- at random, by scene


@pytest.mark.parametrize("count, shares", [(10, (7, 1, 2)), (1000, (700, 100, 200)), (7, (5, 1, 1)), (13, (9, 1, 3))])
def test_scenes_are_shared_out_by_the_fractions(count: int, shares: tuple[int, int, int]) -> None:
    splits = split_by_scene(range(count), FRACTIONS, seed=0)
    assert sorted(splits) == list(range(count))
    assert tuple(len(scenes_of(splits, name)) for name in ("train", "val", "test")) == shares


def test_the_seed_alone_decides() -> None:
    splits = split_by_scene(range(100), FRACTIONS, seed=0)
    assert splits == split_by_scene([*range(100), *range(100)], FRACTIONS, seed=0)  # each scene once, or once a class
    assert splits == split_by_scene(reversed(range(100)), FRACTIONS, seed=0)
    assert splits != split_by_scene(range(100), FRACTIONS, seed=1)
    assert scenes_of(splits, "train") != list(range(70))


def test_the_draw_is_pinned() -> None:
    splits = split_by_scene(range(10), FRACTIONS, seed=0)
    assert (scenes_of(splits, "val"), scenes_of(splits, "test")) == ([0], [1, 8])


@pytest.mark.parametrize("count, short", [(1, "val"), (2, "test"), (3, "val")])
def test_too_few_scenes_for_all_three_are_refused(count: int, short: str) -> None:
    with pytest.raises(PipelineError, match=f"prepare.fractions: split {short} gets no scene; bring more scenes"):
        split_by_scene(range(count), FRACTIONS, seed=0)


COUNTS = {"train": 5, "val": 2, "test": 1}


def test_numbers_of_scenes_are_exact_and_the_rest_is_left() -> None:
    splits = split_by_scene(range(10), COUNTS, seed=0)
    assert {name: len(scenes_of(splits, name)) for name in COUNTS} == COUNTS and len(splits) == 8
    assert list(splits) == list(split_by_scene(range(10), FRACTIONS, seed=0))[:8]  # the same draw


def test_more_scenes_than_there_are_is_refused() -> None:
    with pytest.raises(PipelineError, match="prepare.scene_counts: 8 scenes asked for, 7 in the data"):
        split_by_scene(range(7), COUNTS, seed=0)


# --- near and far in even shares


@pytest.mark.parametrize("shares", [FRACTIONS, {"train": 70, "val": 10, "test": 20}])
def test_strata_are_shared_out_evenly(shares: dict) -> None:
    scenes, returns = np.arange(100), np.arange(100)[::-1] * 3.5
    splits = split_stratified(scenes, returns, shares, strata=10, seed=0)
    assert len(splits) == 100
    for first in range(0, 100, 10):  # a stratum: ten scenes of like returns
        stratum = [splits[scene] for scene in range(first, first + 10)]
        assert {name: stratum.count(name) for name in FRACTIONS} == {"train": 7, "val": 1, "test": 2}


def test_a_random_split_does_not_do_that() -> None:
    splits = split_by_scene(range(100), FRACTIONS, seed=0)
    strata = [[splits[scene] for scene in range(first, first + 10)].count("train") for first in range(0, 100, 10)]
    assert set(strata) != {7}


def test_stratified_shares_are_exact_where_strata_do_not_divide() -> None:
    splits = split_stratified(range(53), np.random.default_rng(0).random(53), FRACTIONS, strata=8, seed=1)
    assert tuple(len(scenes_of(splits, name)) for name in ("train", "val", "test")) == (37, 5, 11)
    by_order = split_stratified(range(3), [1.0, 2.0, 3.0], {"train": 1, "val": 1, "test": 1}, strata=8, seed=1)
    assert sorted(by_order.values()) == ["test", "train", "val"]  # more strata than scenes


def test_the_seed_alone_decides_the_stratified_draw() -> None:
    returns = np.arange(100) % 13
    splits = split_stratified(range(100), returns, FRACTIONS, strata=4, seed=0)
    assert splits == split_stratified(range(100), returns, FRACTIONS, strata=4, seed=0)
    assert splits != split_stratified(range(100), returns, FRACTIONS, strata=4, seed=1)


# --- params.yaml


def section(**changes: object) -> Prepare:
    defaults = {
        "split": "scene",
        "fractions": Fractions(**FRACTIONS),
        "scene_counts": None,
        "course_scenes": 2,
        "strata": 4,
    }
    return Prepare(**defaults | {"seed": 3, "on_error": "stop"} | changes)


def test_make_splitter_returns_the_policy_of_params_yaml() -> None:
    scenes, returns, counts = np.arange(20), np.arange(20.0), {"train": 9, "val": 5, "test": 6}
    assert make_splitter(section())(scenes, returns) == split_by_scene(scenes, FRACTIONS, seed=3)
    assert make_splitter(section(scene_counts=Counts(**counts)))(scenes, returns) == split_by_scene(
        scenes, counts, seed=3
    )
    assert make_splitter(section(split="course"))(scenes, returns) == split_course(scenes, held_out=2)
    by_strata = make_splitter(section(split="stratified"))(scenes, returns)
    assert by_strata == split_stratified(scenes, returns, FRACTIONS, strata=4, seed=3)


# --- the course's


def test_the_course_validates_on_its_last_scenes() -> None:
    splits = split_course([*range(10), *range(10)], held_out=2)
    assert scenes_of(splits, "train") == [0, 1, 2, 3, 4, 5]
    assert scenes_of(splits, "test") == [6, 7]
    assert scenes_of(splits, "val") == [8, 9]


def test_the_courses_split_goes_by_scene_and_not_by_row() -> None:
    assert split_course([4, 0, 2], held_out=1) == {0: "train", 2: "test", 4: "val"}


@pytest.mark.parametrize("held_out", [5, 6, 320])
def test_a_course_split_that_leaves_nothing_to_train_on_is_refused(held_out: int) -> None:
    with pytest.raises(PipelineError, match=f"prepare.course_scenes: {held_out} scenes each .* of 10 in the data"):
        split_course(range(10), held_out)

"""The simulated schedule, against runs small enough to draw."""

import pytest

from benchmarks.schedule import Schedule
from pipeline.jobs.lengths import Length, path_lengths, read_groups, read_lengths, write_lengths

ORDER = ["first", "left", "right", "last"]
UPSTREAM = {"first": set(), "left": {"first"}, "right": {"first"}, "last": {"left", "right"}}


def simulate(lengths: dict[str, Length], slots: int) -> float:
    order = [name for name in ORDER if name in lengths]
    return Schedule(order, UPSTREAM, lengths, slots).run()


@pytest.mark.parametrize("slots, seconds", [(1, 10), (2, 7), (8, 7)])
def test_stages_beside_each_other_share_the_slots(slots: int, seconds: float) -> None:
    lengths = {"first": Length(1, []), "left": Length(3, []), "right": Length(5, []), "last": Length(1, [])}
    assert simulate(lengths, slots) == seconds


@pytest.mark.parametrize("slots, seconds", [(1, 13), (2, 9), (3, 6), (8, 6)])
def test_a_group_waits_for_the_group_before_it(slots: int, seconds: float) -> None:
    """Two seconds alone, then three seeds of 3 seconds, then two of 1 second."""
    assert simulate({"first": Length(13, [[3, 3, 3], [1, 1]])}, slots) == seconds


def test_seeds_of_a_running_stage_come_before_a_new_stage() -> None:
    """When `right` has ended, a seed of `left` and the stage `next` want its slot."""
    lengths = {"left": Length(8, [[4, 4]]), "right": Length(1, []), "next": Length(1, [])}
    upstream = {"left": set(), "right": set(), "next": {"right"}}
    assert Schedule([*lengths], upstream, lengths, 2).run() == 5  # 6 the other way round


def test_the_longest_path_counts_the_stages_behind() -> None:
    seconds = {"first": 1.0, "left": 3.0, "right": 5.0}
    assert path_lengths(ORDER, UPSTREAM, seconds) == {"first": 7, "left": 4, "right": 6, "last": 1}


def test_lengths_are_read_as_written(tmp_path) -> None:
    lengths = {"left": Length(1.5, [[0.5, 0.25]]), "right": Length(2.0, [])}
    write_lengths(tmp_path / "lengths.json", lengths)
    assert read_lengths(tmp_path / "lengths.json") == lengths


@pytest.mark.parametrize("text", ["", "{", "[]", '{"left": 3}', '{"left": [1, 2, 3]}'])
def test_a_broken_record_is_an_empty_one(tmp_path, text: str) -> None:
    (tmp_path / "lengths.json").write_text(text)
    assert read_lengths(tmp_path / "lengths.json") == {} == read_lengths(tmp_path / "none.json")


def test_groups_of_a_stage_are_read_in_their_order(tmp_path) -> None:
    lines = [
        '{"stage": "left", "seconds": [2.0]}',
        '{"stage": "right", "seconds": [9]}',
        '{"stage": "left", "seconds": [1]}',
    ]
    (tmp_path / "record.jsonl").write_text("\n".join(lines) + "\n")
    assert read_groups(tmp_path / "record.jsonl", "left") == [[2.0], [1]]
    assert read_groups(tmp_path / "none.jsonl", "left") == []

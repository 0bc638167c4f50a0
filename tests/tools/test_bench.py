"""`make bench`: the course's recipe has the published nets and this project's points, and its tables say what was."""

import json
from pathlib import Path

import pytest
import torch

from benchmarks.course import CONSTANT, PARAMETERS, Intermediate, build_net, linears, to_points
from benchmarks.results import END, START, Row, render_table, save_group, write_page
from benchmarks.training import STEP_NETS, title
from benchmarks.workloads import make_data, our_epochs, our_training, time_course_step, time_our_step, train_course
from pipeline.data.geometry import ray_directions, xyza
from pipeline.training.loop import count_parameters
from support.commands import ROOT

ABOUT = {"processor": "a processor", "commit": "abc"}
HEAD = """\
| what | variant | baseline | unit | variant's median | baseline's median | ratio: median (min to max) |
|---|---|---|---|---|---|---|
"""


@pytest.fixture(scope="module")
def prepared(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Simulate 50 scenes and prepare them; return the folder of the arrays."""
    home = tmp_path_factory.mktemp("bench")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(ROOT)
        make_data(home, 50)
    return home / "arrays"


@pytest.mark.parametrize("downsample", ["maxpool", "strided"])
@pytest.mark.parametrize("name", PARAMETERS)
def test_the_nets_of_the_course_have_the_published_counts(name: str, downsample: str) -> None:
    if name != "cilp" or downsample == "maxpool":
        assert count_parameters(build_net(name, downsample)) == PARAMETERS[name]
    assert {key: PARAMETERS[key] for key in ("concat", "add", "hadamard", "late", "concat_wide")} == {
        "concat": 914_201,
        "add": 824_201,
        "hadamard": 824_201,
        "late": 1_415_051,
        "concat_wide": 13_015_851,
    }


@pytest.mark.parametrize("net", STEP_NETS, ids=title)
def test_both_sides_train_equal_nets(net, prepared: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)
    _, build, _, _ = our_training(prepared, net)
    assert count_parameters(build()) == PARAMETERS[net.course] and our_epochs(net) >= 1


def test_the_points_of_the_course_are_those_of_this_project() -> None:
    azimuth, zenith = torch.tensor([0.3, -0.1, 0.2]), torch.tensor([0.5, -0.4])
    depth = torch.tensor([[1.0, 50.0], [7.5, 30.0], [50.0, 2.0]])
    expected = xyza(depth.unsqueeze(0), ray_directions(azimuth, zenith))[0]
    torch.testing.assert_close(to_points(depth, azimuth, zenith), expected)
    assert to_points(depth, azimuth, zenith)[3].tolist() == [[1, 0], [1, 1], [0, 1]]


def test_the_joins_of_the_course_differ() -> None:
    ones = torch.ones(1, 4, 64, 64)
    logits = []
    for join in ("concat", "add", "hadamard"):
        torch.manual_seed(0)
        logits.append(Intermediate(join, "strided", [2, 3], [4], [5])(ones, 2 * ones).item())
    assert len({round(logit, 6) for logit in logits}) == 3 and len(linears([3, 2, 1])) == 3


def test_both_sides_time_a_step_and_a_training_that_fails_says_so(
    prepared: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(ROOT)
    strided = STEP_NETS[1]
    assert strided.downsample == "strided"
    assert time_course_step(prepared, strided, 1) > 0 and time_our_step(prepared, strided, 1) > 0
    outcome = train_course(prepared, strided, CONSTANT, cap=1, target=1.1, seed=0)
    assert not outcome.reached and outcome.epochs == 1 and outcome.seconds > 0 and 0 <= outcome.best <= 1


def test_a_table_has_medians_ratios_and_their_spread() -> None:
    rows = [
        Row("concat", "this project", "ms a sample", [2.0, 4.0, 5.0], "the course", [8.0, 10.0, 15.0]),
        Row("start", "this project", "seconds", [1234.0]),
    ]
    assert render_table(rows) == HEAD + (
        "| concat | this project | the course | ms a sample | 4 | 10 | 3.00 (2.50 to 4.00) |\n"
        "| start | this project |  | seconds | 1,234 |  |  |"
    )


def test_a_training_that_missed_its_target_makes_a_bound_or_no_ratio() -> None:
    values = ("CPU seconds", [1.0, 2.0], "the course", [6.0, 8.0])
    assert render_table([Row("a", "b", *values, 0, 1), Row("a", "b", *values, 1, 2)]) == HEAD + (
        "| a | b | the course | CPU seconds | 1.5 | 7, 1 of 2 not reached | at least 5.00 (4.00 to 6.00) |\n"
        "| a | b | the course | CPU seconds | 1.5, 1 of 2 not reached | 7, 2 of 2 not reached "
        "| none: the variant missed the target |"
    )


def test_groups_are_kept_and_written_between_the_marks(tmp_path: Path) -> None:
    page, out = tmp_path / "README.md", tmp_path / "results.json"
    page.write_text(f"before\n{START}\nold\n{END}\nafter\n")
    save_group(out, "steps", "A note.", ABOUT, [Row("old", "b", "s", [9.0])])
    save_group(out, "start", "Another.", ABOUT, [Row("c", "d", "s", [3.0])])
    groups = save_group(out, "steps", "A note.", ABOUT, [Row("a", "b", "s", [1.0], "e", [2.0])])
    write_page(page, groups)
    assert page.read_text() == (
        f"before\n{START}\n\n### Steps\n\nA note.\n\nprocessor a processor; commit abc.\n\n{HEAD}"
        f"| a | b | e | s | 1 | 2 | 2.00 (2.00 to 2.00) |\n\n### Start\n\nAnother.\n\n"
        f"processor a processor; commit abc.\n\n{HEAD}| c | d |  | s | 3 |  |  |\n\n{END}\nafter\n"
    )
    assert json.loads(out.read_text()) == groups and groups["steps"]["rows"][0]["values"] == [1.0]


def test_the_page_has_the_marks() -> None:
    text = (ROOT / "benchmarks" / "README.md").read_text()
    assert text.count(START) == text.count(END) == 1

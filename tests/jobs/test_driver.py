"""The driver does what `dvc repro` does, in the order of the graph, and records what ended well."""

import json
import re
from collections.abc import Callable
from pathlib import Path

import pytest

from pipeline.core.errors import PipelineError
from pipeline.jobs.driver import count_trainings, repro
from support.commands import shell

pytestmark = pytest.mark.slow

Log = Callable[[], list[str]]
CLEAN = "Data and pipelines are up to date.\n"


def counts(summary: str) -> str:
    """Return a summary without its time."""
    return summary.rsplit(";", 1)[0]


@pytest.mark.parametrize("jobs", [1, 4])
def test_every_stage_runs_after_its_ancestors(project: Path, log: Log, jobs: int) -> None:
    assert counts(repro(jobs=jobs)) == "stages: 6 run, 0 restored, 0 unchanged"
    order = log()
    assert sorted(order) == ["alone", "first", "x", "y", "z"]
    assert all(order.index("first") < order.index(each) for each in "xyz")
    assert (project / "last").read_text() == "1\n1\n1\n"
    assert shell(project, "dvc status") == CLEAN
    assert "Running" not in shell(project, "dvc repro") and log() == []


def test_dvc_records_the_same(project: Path) -> None:
    repro()
    ours = (project / "dvc.lock").read_text()
    shell(project, "rm -r dvc.lock .dvc/cache && dvc repro")
    theirs = (project / "dvc.lock").read_text()
    assert sorted(ours.splitlines()) == sorted(theirs.splitlines()) and "wide@z" in ours


def test_a_second_run_does_nothing(project: Path, log: Log) -> None:
    repro()
    log()
    assert counts(repro()) == "stages: 0 run, 0 restored, 6 unchanged" and log() == []


def test_the_longest_path_starts_first(project: Path, log: Log) -> None:
    repro(jobs=1)
    assert log()[0] == "first"  # no lengths are known: three stages in a row come before one
    record = project / ".dvc/tmp/jobs/lengths.json"
    assert set(json.loads(record.read_text())) == {"first", "wide@x", "wide@y", "wide@z", "last", "alone"}
    record.write_text('{"first": [1, []], "wide@x": [1, []], "wide@y": [3, []], "wide@z": [2, []], "alone": [9, []]}')
    for name in ("first.sh", "wide.sh", "alone.sh"):
        (project / name).write_text((project / name).read_text() + "# edited\n")
    repro(jobs=1)
    assert log() == ["alone", "first", "y", "z", "x"]


def test_targets_run_with_their_ancestors_alone(project: Path, log: Log) -> None:
    assert counts(repro(["wide@y"])) == "stages: 2 run, 0 restored, 0 unchanged"
    assert log() == ["first", "y"]


def test_a_parameter_reruns_who_declares_it(project: Path, log: Log) -> None:
    repro()
    log()
    (project / "params.yaml").write_text("number: 2\n")
    assert counts(repro()) == "stages: 1 run, 0 restored, 5 unchanged" and log() == []


def test_the_same_bytes_upstream_make_nothing_else_run(project: Path, log: Log) -> None:
    repro()
    log()
    (project / "first.sh").write_text("echo first >> log; echo 1 > first  # edited\n")
    assert counts(repro()) == "stages: 1 run, 0 restored, 5 unchanged" and log() == ["first"]


def test_going_back_restores_and_runs_nothing(project: Path, log: Log) -> None:
    repro()
    before = (project / "first.sh").read_text()
    (project / "first.sh").write_text(before.replace("1 >", "2 >"))
    repro()
    log()
    assert (project / "last").read_text() == "2\n2\n2\n"
    (project / "first.sh").write_text(before)
    assert counts(repro()) == "stages: 0 run, 5 restored, 1 unchanged" and log() == []
    assert (project / "last").read_text() == "1\n1\n1\n" and shell(project, "dvc status") == CLEAN


def test_earlier_outputs_are_deleted_before_a_run(project: Path) -> None:
    (project / "first").write_text("old")
    (project / "first.sh").write_text("test ! -e first && echo 1 > first\n")
    assert counts(repro(["first"])) == "stages: 1 run, 0 restored, 0 unchanged"


def test_a_failure_is_named_with_its_log_while_others_finish(project: Path, log: Log) -> None:
    (project / "wide.sh").write_text("echo $1 >> log; cat first > wide-$1; echo words of $1; test $1 != y\n")
    expected = r"stage wide@y: exit code 1; its whole output is in (\S+), which ends with:\n  words of y\nstages: .*"
    with pytest.raises(PipelineError) as failure:
        repro()
    found = re.fullmatch(expected, str(failure.value))
    assert found and Path(found[1]).read_text() == "words of y\n"
    assert "4 run, 0 restored, 0 unchanged, 1 failed, 1 not started" in str(failure.value)
    assert sorted(log()) == ["alone", "first", "x", "y", "z"]  # not twice: a failure is not tried again
    (project / "wide.sh").write_text("echo $1 >> log; cat first > wide-$1\n")
    assert counts(repro()) == "stages: 4 run, 0 restored, 2 unchanged" and sorted(log()) == ["x", "y", "z"]


@pytest.mark.parametrize(
    "script, message",
    [
        ("kill -9 $$", "stage alone: ended by SIGKILL, perhaps for want of memory; "),
        ("true", "stage alone: output 'alone' does not exist"),
        ("echo 1 > alone; echo >> alone.sh", "stage alone: alone.sh changed while the stage ran; .* not recorded"),
    ],
)
def test_what_did_not_end_well_is_not_recorded(project: Path, script: str, message: str) -> None:
    (project / "alone.sh").write_text(f"{script}\n")
    with pytest.raises(PipelineError, match=message):
        repro()
    assert "alone" not in (project / "dvc.lock").read_text() and "last" in (project / "dvc.lock").read_text()


def test_a_parameter_that_changed_during_a_run_is_not_recorded(project: Path) -> None:
    text = (project / "dvc.yaml").read_text().replace("cat wide-x", "sed -i s/1/2/ params.yaml; cat wide-x")
    (project / "dvc.yaml").write_text(text)
    with pytest.raises(PipelineError, match="stage last: params.yaml changed while the stage ran"):
        repro()
    assert "last" not in (project / "dvc.lock").read_text()


def test_code_that_changed_after_its_stage_is_reported_at_the_end(project: Path) -> None:
    (project / "wide.sh").write_text("cat first > wide-$1; echo >> first.sh\n")
    with pytest.raises(PipelineError, match="^out of date: first; something changed after they ran; run it again$"):
        repro(jobs=1)


def test_a_missing_dependency_fails_its_stage_alone(project: Path) -> None:
    (project / "alone.sh").unlink()
    with pytest.raises(PipelineError, match="stage alone: .*alone.sh.*\nstages: 5 run, .* 1 failed"):
        repro()


@pytest.mark.parametrize("text", ["", '{"read": '])
def test_a_list_of_files_in_use_that_a_kill_cut_is_no_obstacle(project: Path, text: str) -> None:
    (project / ".dvc/tmp/rwlock").write_text(text)
    assert counts(repro(["first"])) == "stages: 1 run, 0 restored, 0 unchanged"


def test_errors_of_dvc_are_errors_of_the_project(project: Path) -> None:
    with pytest.raises(PipelineError, match="nosuch"):
        repro(["nosuch"])


def test_memory_bounds_the_trainings_at_a_time(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture) -> None:
    monkeypatch.setattr("pipeline.jobs.driver.count_cores", lambda: 8)
    monkeypatch.setattr("pipeline.jobs.driver.available_memory", lambda: 3 * 2**30)
    assert [count_trainings(None), count_trainings(2)] == [3, 2]
    assert capsys.readouterr().err == "the available memory is enough for 3 trainings at a time, not for 8\n"
    monkeypatch.setattr("pipeline.jobs.driver.available_memory", lambda: 0)
    assert count_trainings(4) == 1


def test_stages_are_told_of_their_slots(project: Path) -> None:
    (project / "alone.sh").write_text("ls $PIPELINE_SLOTS > alone; echo $DVC_STAGE >> alone\n")
    repro(["alone"], jobs=3)
    assert (project / "alone").read_text().split() == ["slot0", "slot1", "slot2", "alone"]


def test_the_cpu_that_was_asked_for_runs_stages_side_by_side(
    project: Path, log: Log, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("torch.cuda.is_available", lambda: True)
    monkeypatch.setenv("DEVICE", "cpu")
    all_started = "timeout 60 sh -c 'until [ $(grep -c + log) = 3 ]; do sleep 0.01; done'"
    (project / "wide.sh").write_text(f"echo + >> log; {all_started} && cat first > wide-$1; echo - >> log\n")
    repro(["last"], jobs=4)
    assert log() == ["first", *"+++---"]

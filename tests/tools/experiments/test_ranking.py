"""The best of all experiments: what Git holds of them, the figure that puts them in order, and a real queue."""

import json
import re
from pathlib import Path

import pytest
import yaml

from pipeline.core.errors import PipelineError
from pipeline.tools.experiments.ranking import format_ranking, rank_trainings
from pipeline.tools.experiments.revisions import Training, arrays_here, trainings
from support.commands import UNTRACKED, shell

LATE, ADD = "late-maxpool", "add-maxpool"


def metrics(val_loss: float, accuracy: float = 0.9) -> dict:
    return {"val_loss": val_loss, "val_loss_ci95": 0.01, "accuracy": accuracy, "accuracy_ci95": 0.02, "chance": 0.5}


def make_training(place: str, cell: str, figures: dict, arrays: str = "a.dir", **params) -> Training:
    params = {f"matrix.{cell}.fusion": cell.split("-")[0], f"matrix.{cell}.epochs": 4, "fusion.lr": 1e-3} | params
    return Training(cell, params, figures, arrays, [place])


def write(folder: Path, cells: dict[str, float], lr: float = 1e-3, arrays: str = "a.dir") -> None:
    """Write what a finished run leaves that `trainings` reads: cell -> its validation loss."""
    stages: dict = {"prepare": {"outs": [{"path": "runs/prepare/arrays", "md5": arrays}]}}
    for cell, val_loss in cells.items():
        params = {"params.yaml": {"fusion.lr": lr, f"matrix.{cell}": {"fusion": cell.split("-")[0], "epochs": 4}}}
        stages[f"fusion@{cell}"] = {"deps": [{"path": "runs/prepare/arrays", "md5": arrays}], "params": params}
        path = folder / "runs" / "fusion" / cell / "metrics.json"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(metrics(val_loss)))
    (folder / "dvc.lock").write_text(yaml.safe_dump({"schema": "2.0", "stages": stages}))
    (folder / "params.yaml").write_text(yaml.safe_dump({"matrix": {cell: {} for cell in cells}}))


@pytest.fixture
def history(tmp_path, monkeypatch) -> Path:
    """Make a commit of two cells; on top of it an experiment, `quick-fox`, with another rate."""
    write(tmp_path, {LATE: 0.3, ADD: 0.2})
    shell(tmp_path, "git init -q . && git add -A && git commit -qm first")
    write(tmp_path, {LATE: 0.1, ADD: 0.2}, lr=1e-4)
    start = shell(tmp_path, "git rev-parse HEAD").strip()
    shell(tmp_path, "git checkout -q --detach && git commit -qam experiment")
    shell(
        tmp_path,
        f"git update-ref refs/exps/{start[:2]}/{start[2:]}/quick-fox HEAD && git update-ref refs/exps/stash HEAD",
    )
    shell(tmp_path, "git checkout -q -f master || git checkout -q -f main")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_every_training_of_workspace_commits_and_experiments_is_found_once(history):
    commit = "commit " + shell(history, "git rev-parse HEAD")[:7]
    found = {(each.cell, each.params["fusion.lr"], each.metrics["val_loss"]): each.places for each in trainings()}
    assert found == {
        (LATE, 1e-3, 0.3): ["workspace", commit],
        (ADD, 1e-3, 0.2): ["workspace", commit],
        (LATE, 1e-4, 0.1): ["quick-fox"],
        (ADD, 1e-4, 0.2): ["quick-fox"],
    }
    assert arrays_here() == "a.dir"


def test_a_project_below_the_top_of_its_repository_is_read(tmp_path, monkeypatch):
    below = tmp_path / "below"
    below.mkdir()
    write(below, {ADD: 0.2})
    shell(tmp_path, "git init -q . && git add -A && git commit -qm first")
    monkeypatch.chdir(below)
    write(below, {ADD: 0.1})
    assert [each.metrics["val_loss"] for each in trainings()] == [0.1, 0.2]


def test_a_cell_that_left_the_matrix_or_lost_its_figures_does_not_count(history):
    (history / "params.yaml").write_text(yaml.safe_dump({"matrix": {LATE: {}}}))
    (history / "runs" / "fusion" / LATE / "metrics.json").write_text("{")
    assert all("workspace" not in each.places for each in trainings())


def test_without_git_the_workspace_counts_alone(tmp_path, monkeypatch):
    write(tmp_path, {ADD: 0.2})
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path.parent))
    assert [each.places for each in trainings()] == [["workspace"]]
    monkeypatch.setenv("PATH", "")
    assert [each.places for each in trainings()] == [["workspace"]]


def test_nothing_trained_yet_is_one_clear_error(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path.parent))
    with pytest.raises(
        PipelineError, match="dvc.lock: found no trained cell here, .*run `make repro`, then `make sweep`"
    ):
        trainings()


def test_the_best_is_chosen_by_validation_and_not_by_test():
    found = [
        make_training("workspace", LATE, metrics(0.2, accuracy=1.0)),
        make_training("quick-fox", ADD, metrics(0.1, accuracy=0.8)),
    ]
    assert [each.cell for each in rank_trainings(found, "a.dir")] == [ADD, LATE]
    text = format_ranking(found, "a.dir", top=10)
    assert f"2 trainings in 2 places (workspace, commits, experiments): {ADD} of quick-fox." in text
    assert "validation loss 0.100000 ± 0.010000, test accuracy 0.8000 ± 0.0200; chance 0.5." in text
    assert "0 of the 1 others lie within its 95% interval" in text and "dvc exp apply quick-fox" in text


def test_trainings_of_unlike_precision_are_marked_and_counted():
    found = [
        make_training("workspace", LATE, metrics(0.2) | {"precision": "float32"}),
        make_training("quick-fox", ADD, metrics(0.1) | {"precision": "bfloat16"}),
    ]
    text = format_ranking(found, "a.dir", top=1)
    assert "| bfloat16 " in text and "Unlike precision (1 in bfloat16, 1 in float32)" in text
    assert "recision" not in format_ranking(found[:1], "a.dir", top=1)


def test_neighbours_within_the_interval_are_counted():
    found = [make_training(str(loss), LATE, metrics(loss)) for loss in (0.1, 0.105, 0.11, 0.12)]
    assert "2 of the 3 others lie within its 95% interval" in format_ranking(found, "a.dir", top=1)


def test_losses_on_other_validation_pairs_are_left_out():
    found = [
        make_training("workspace", LATE, metrics(0.2)),
        make_training("quick-fox", LATE, metrics(0.1), arrays="b.dir"),
    ]
    assert [each.places for each in rank_trainings(found, "a.dir")] == [["workspace"]]
    assert [each.places for each in rank_trainings(found, None)] == [["workspace"]]
    assert "Left out: 1 training on other data" in format_ranking(found, "a.dir", top=10)
    with pytest.raises(PipelineError, match="found 2 trainings, 2 of them on other data or another split"):
        rank_trainings(found, "c.dir")


def test_the_table_shows_the_parameters_that_make_a_difference():
    found = [
        make_training("workspace", LATE, metrics(0.2)),
        make_training("quick-fox", LATE, metrics(0.1), **{"fusion.lr": "1e-05"}),
        make_training("quick-fox", ADD, metrics(0.3), **{f"matrix.{ADD}.epochs": 9}),  # the only one of its cell
    ]
    head, _, first, *_ = format_ranking(found, "a.dir", top=2).splitlines()
    rows = [[word.strip() for word in line.strip("|").split("|")] for line in (head, first)]
    assert rows[0] == ["experiment", "cell", "lr", "validation loss", "test accuracy", "chance"]
    assert rows[1][:3] == ["quick-fox", LATE, "1e-05"]


def test_a_single_seed_has_no_interval():
    alone = metrics(0.1) | {"val_loss_ci95": None, "accuracy_ci95": None}
    text = format_ranking([make_training("workspace", LATE, alone)], "a.dir", top=10)
    assert "validation loss 0.100000, test accuracy 0.9000; chance" in text and "One seed: there is no interval" in text


@pytest.mark.slow
def test_a_queue_of_experiments_is_run_listed_compared_and_judged(project):
    fewer = "-S ~matrix.rgb-maxpool -S ~matrix.late-strided"  # two cells are enough
    shell(project, f"dvc exp run --queue -S fusion.lr=1e-4,1e-3 {fewer}")
    shell(project, f"{UNTRACKED} dvc exp run --run-all --jobs 2")  # others count the runs of the first
    names = shell(project, "dvc exp list --name-only").split()
    assert len(names) == 2
    keep = "accuracy|top1|zero_shot|tuned"
    drop = "^(runs|data|pipe|lead|val_|Cre|Exec|[Ss]ta)|matrix"  # the removed cells would fill the width
    table = shell(project, f"COLUMNS=120 dvc exp show --no-pager --only-changed --keep '{keep}' --drop '{drop}'")
    assert all(name in table for name in names) and max(map(len, table.splitlines())) <= 120
    shown = table.splitlines()[1].split()
    assert shown == ["Experiment", "accuracy", "top1", "zero_shot", "tuned", "fusion.lr"]
    changed = shell(project, f"dvc metrics diff {' '.join(names)}").splitlines()
    assert 2 <= len(changed) < 24 and all(len(line) < 120 for line in changed)
    assert "fusion.lr" in shell(project, f"dvc params diff {' '.join(names)}")
    page = Path(re.search(r"file://(\S+)", shell(project, f"dvc plots diff {' '.join(names)}"))[1]).read_text()
    assert "fusion late-maxpool" in page and "validation loss, mean over seeds" in page
    assert all(name in page for name in names)
    text = shell(project, "python -m pipeline best --top 50")
    rows = [line.split("|")[1:-1] for line in text.splitlines() if line.startswith("| ")]
    losses = [float(row[-3].split("±")[0]) for row in rows[1:]]
    assert losses == sorted(losses) and all(name in text for name in names)
    assert shell(project, "git status --porcelain") == ""  # the queue works in copies

"""An interrupted training goes on from its state: its weights and figures are those of one that was not interrupted."""

import hashlib
import io
import os
import signal
import subprocess
import sys
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from pipeline.core.device import Cancelled, build_seeded
from pipeline.core.errors import PipelineError
from pipeline.data.arrays import Batch, Batches, Examples
from pipeline.metrics.classification import classification_metrics
from pipeline.models.fusion import build_fusion
from pipeline.training import states
from pipeline.training.frozen import fit_frozen_late
from pipeline.training.loop import TIMING_NAMES, FitResult, Task, fit
from pipeline.training.objectives import label_objective, pair_objective
from pipeline.training.states import open_states
from support.bombs import Bomb
from support.line_training import EPOCHS, RECIPE, SEEDS, Killed, kill_at, make_project, results, train
from support.tiny_training import PATHS

CPU = torch.device("cpu")
NEWEST, BEFORE = Path(".resume/fusion/line/seed1.pt"), Path(".resume/fusion/line/seed1.before.pt")


@pytest.fixture(autouse=True)
def every_epoch(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WANDB_MODE", "disabled")
    monkeypatch.setenv("PIPELINE_SLOTS", "")
    monkeypatch.setattr(states, "SECONDS_BETWEEN_STATES", 0)
    monkeypatch.setattr("pipeline.core.device.count_slots", lambda: 1)  # seed 0, then seed 1


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    """What the stage writes if nothing interrupts it."""
    folder = tmp_path_factory.mktemp("undisturbed")
    make_project(folder)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("WANDB_MODE", "disabled")
        patch.chdir(folder)
        train()
    return results(folder)


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    make_project(tmp_path / "project")
    monkeypatch.chdir(tmp_path / "project")
    return tmp_path / "project"


def interrupt(epoch: int, **changes) -> None:
    with pytest.raises(Killed):
        train(kill_at(epoch), **changes)


def count_validations(**changes) -> Counter[int]:
    calls: Counter[int] = Counter()
    train(lambda seed: calls.update([seed]), **changes)
    return calls


@pytest.mark.parametrize("epoch", range(1, EPOCHS + 1))
def test_a_training_killed_in_any_epoch_ends_in_equal_bytes(project, undisturbed, epoch):
    interrupt(epoch)
    calls = count_validations()
    assert calls == {1: EPOCHS - epoch + 1}  # seed 0 had ended
    assert results(project) == undisturbed and set(undisturbed) == {
        "history.tsv",
        "metrics.json",
        "seed0.safetensors",
        "seed1.safetensors",
    }


def test_killed_at_its_end_nothing_is_trained_again(project, undisturbed):
    with pytest.raises(Killed):
        train(at_end=kill_at(1))
    assert count_validations() == {} and results(project) == undisturbed


def test_killed_again_and_again_it_ends_in_equal_bytes(project, undisturbed):
    for _ in range(EPOCHS - 1):
        interrupt(2)
    train()
    assert results(project) == undisturbed


def test_times_are_those_of_the_whole_training(project):
    interrupt(4)
    train()
    rows = (project / "runs/times/fusion/line/epochs.tsv").read_text().splitlines()
    assert len(rows) == 1 + EPOCHS and all(float(row.split("\t")[1]) > 0 for row in rows[1:])


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def flip(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[len(content) * 2 // 3] ^= 1
    path.write_bytes(content)


@pytest.mark.parametrize(
    "damage", [cut, flip, lambda path: path.write_bytes(b""), Path.unlink], ids=["cut", "flipped", "empty", "absent"]
)
def test_after_a_damaged_newest_state_the_state_before_it_is_used(project, undisturbed, capsys, damage):
    interrupt(4)
    damage(NEWEST)
    calls = count_validations()
    errors = capsys.readouterr().err
    assert calls == {1: 3} and f"{BEFORE}: the training goes on after epoch 2\n" in errors
    assert (f"{NEWEST}: a damaged state; ignored\n" in errors) == (damage is not Path.unlink)
    assert results(project) == undisturbed


def test_without_a_whole_state_the_training_begins_anew(project, undisturbed, capsys):
    interrupt(4)
    cut(NEWEST)
    flip(BEFORE)
    assert count_validations()[1] == EPOCHS and capsys.readouterr().err.count("seed1.") == 2
    assert results(project) == undisturbed


FOREIGN: dict[str, Callable[[Path], dict]] = {
    "code or data": lambda project: (project / "points").write_text("other") and {},
    "recipe": lambda project: {"recipe": replace(RECIPE, schedule="constant")},
    "parameters": lambda project: {"config": {"heads": 2}},
    "rows": lambda project: {"points": 42},
}


@pytest.mark.parametrize("change", FOREIGN)
def test_a_state_of_another_training_is_ignored_with_a_line(project, capsys, change):
    interrupt(3)
    changes = FOREIGN[change](project)
    capsys.readouterr()
    assert count_validations(**changes) == dict.fromkeys(SEEDS, EPOCHS)
    line = ": a state of other code, parameters, data, torch or device; ignored"
    assert sorted(each for each in capsys.readouterr().err.splitlines() if ".resume" in each) == [
        f".resume/fusion/line/seed{seed}.pt{line}" for seed in SEEDS
    ]
    assert not (project / ".resume").exists()


def test_a_state_of_another_torch_is_ignored(project, monkeypatch):
    interrupt(3)
    monkeypatch.setattr(torch, "__version__", "9.9")
    assert count_validations() == dict.fromkeys(SEEDS, EPOCHS)


def test_nothing_in_a_state_is_unpickled(project, undisturbed, tmp_path, capsys):
    interrupt(3)
    key, content = NEWEST.read_bytes().split(b"\n")[1], io.BytesIO()
    torch.save({"model": Bomb(tmp_path / "ran")}, content)
    rest = key + b"\n" + content.getvalue()
    for path in (NEWEST, BEFORE):
        path.write_bytes(hashlib.sha256(rest).hexdigest().encode() + b"\n" + rest)
    train()
    assert not (tmp_path / "ran").exists() and results(project) == undisturbed
    assert capsys.readouterr().err.count("seed1.pt: a damaged state; ignored") == 1


def test_states_vanish_when_the_stage_ends_well_and_those_of_other_stages_stay(project):
    other = project / ".resume/lidar/seed0.pt"
    other.parent.mkdir(parents=True)
    other.touch()
    interrupt(3)
    assert NEWEST.exists()
    train()
    assert [path for path in project.rglob(".resume/**/*") if path.is_file()] == [other]


def test_a_failed_training_leaves_its_last_state(project):
    def diverge(seed: int) -> None:
        raise PipelineError("diverged")

    interrupt(3)
    with pytest.raises(PipelineError, match="diverged"):
        train(diverge)
    assert NEWEST.exists()


def test_a_state_is_written_no_more_often_than_it_is_worth(project, monkeypatch):
    monkeypatch.setattr(states, "SECONDS_BETWEEN_STATES", 1000)
    interrupt(4)
    assert not NEWEST.exists()
    with pytest.raises(Killed):
        train(at_end=kill_at(1))
    assert NEWEST.exists() and not BEFORE.exists()  # the end of the training


def test_a_folder_of_no_stage_has_no_states(project):
    assert open_states(project / "runs", {}, CPU) == open_states(Path("runs/other"), {}, CPU) == states.States()


def figures(rows: list[dict]) -> list[dict]:
    return [{name: value for name, value in row.items() if name not in TIMING_NAMES} for row in rows]


@pytest.mark.parametrize("step", [1, 2, 5, 6, 9])
def test_a_training_that_is_cancelled_goes_on_after_its_last_step(project, monkeypatch, step):
    """Three epochs of three steps; the metrics of an epoch are those of all its steps."""
    inputs = torch.randn(10, 2, generator=torch.Generator().manual_seed(1))
    data, steps = Examples(inputs, (inputs.sum(dim=1) > 0).float()), Counter[str]()

    def run(kept: states.States) -> tuple[FitResult, dict]:
        model = build_seeded(0, lambda: torch.nn.Sequential(torch.nn.Linear(2, 1), torch.nn.Flatten(0)))
        batches = Batches(lambda rows: steps.update(["taken"]) or data.rows(rows), torch.arange(10), 4)
        validate = lambda net: {"val_loss": 1 / (1 + float(net[0].weight.detach().abs().sum()))}  # noqa: E731
        task = Task(model, label_objective, batches, validate, classification_metrics, kept)
        return fit(task, RECIPE, 3, 0, lambda seed, row: None), model.state_dict()

    def cancel() -> None:
        if steps["taken"] == step - 1:
            raise Cancelled

    expected, expected_weights = run(states.States())
    assert steps.pop("taken") == 9
    kept = open_states(Path("runs/fusion/points"), {}, CPU)
    with monkeypatch.context() as patch, pytest.raises(Cancelled):
        patch.setattr("pipeline.training.loop.raise_if_cancelled", cancel)
        run(kept)
    fitted, weights = run(kept)
    assert steps["taken"] == 9  # none is taken twice
    assert figures(fitted.history) == figures(expected.history) and figures([fitted.best]) == figures([expected.best])
    assert all(torch.equal(weights[name], value) for name, value in expected_weights.items())


@pytest.mark.parametrize("call", range(1, 7))
def test_late_fusion_goes_on_in_the_phase_in_which_it_was_killed(project, call):
    """Two epochs of RGB alone, two of LiDAR alone, two of the head."""

    def run(during: Callable[[int], None], kept: states.States) -> tuple[FitResult, dict, list]:
        drawn = torch.Generator().manual_seed(0)
        rgb, lidar = (torch.rand(8, 4, 64, 64, generator=drawn) for _ in range(2))
        label = torch.tensor([0.0, 1.0] * 4)
        batches = Batches(lambda rows: Batch(rgb[rows], lidar[rows], label[rows]), torch.arange(8), 4)
        widths = {"channels": [2, 3], "embed_dim": 4, "head_dims": [5]}
        model = build_seeded(0, lambda: build_fusion("late_frozen", "strided", widths))

        def validate(net: torch.nn.Module) -> dict[str, float]:
            during(0)
            return {"val_loss": float(sum(each.detach().abs().sum() for each in net.parameters()))}

        rows: list = []
        task = Task(model, pair_objective, batches, validate, states=kept)
        fitted = fit_frozen_late(task, RECIPE, 2, 0, lambda seed, row: rows.append(row))
        return fitted, model.state_dict(), rows

    kept = open_states(Path("runs/fusion/late"), {}, CPU)
    with pytest.raises(Killed):
        run(kill_at(call, victim=0), kept)
    calls: Counter[int] = Counter()
    fitted, weights, rows = run(lambda seed: calls.update([seed]), kept)
    expected, expected_weights, expected_rows = run(lambda seed: None, states.States())
    assert calls[0] == 7 - call
    assert figures(rows) == figures(expected_rows) and figures(fitted.history) == figures(expected.history)
    assert figures([fitted.best]) == figures([expected.best])
    assert all(torch.equal(weights[name], value) for name, value in expected_weights.items())


@pytest.mark.slow
@pytest.mark.parametrize(
    "how, code, epochs, words",
    [
        (signal.SIGKILL, -9, 2, ""),
        (signal.SIGTERM, 143, 3, "error: ended by SIGTERM; nothing half-done looks whole, run it again"),
        (signal.SIGINT, 130, 3, "error: interrupted; nothing half-done looks whole, run it again"),
    ],
    ids=["kill -9", "SIGTERM", "Ctrl-C"],
)
def test_a_process_that_a_signal_ended_goes_on(project, undisturbed, how, code, epochs, words):
    command = [sys.executable, "-m", "support.line_training"]
    process = subprocess.Popen(
        command,
        env=os.environ | {"PYTHONPATH": PATHS, "DEVICE": "cpu"},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stdout.readline() == "third epoch\n"
    process.send_signal(how)
    _, errors = process.communicate(timeout=30)
    assert process.returncode == code and "Traceback" not in errors
    assert errors.splitlines()[-1:] == ([words] if words else [])
    assert count_validations() == dict.fromkeys(SEEDS, EPOCHS - epochs) and results(project) == undisturbed

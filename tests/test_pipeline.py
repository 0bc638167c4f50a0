"""The one true run: a fresh checkout, the smoke parameters, 40 scenes, and the commands that a user types."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest
import yaml

from pipeline.artifacts import cell_names, checkpoint_path

ROOT = Path(__file__).parent.parent
ENVIRONMENT = os.environ | {
    "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
    "DVC_NO_ANALYTICS": "1",
    "WANDB_MODE": "offline",
    "GIT_CONFIG_GLOBAL": "/dev/null",
} | {f"GIT_{who}_{what}": "a@b" for who in ("AUTHOR", "COMMITTER") for what in ("NAME", "EMAIL")}  # fmt: skip
STAGES = ["prepare", "fusion", "compare", "ablation", "lidar", "cilp", "project", "classify", "evaluate", "report"]

pytestmark = pytest.mark.slow


def shell(folder: Path, command: str, expect: int = 0) -> str:
    done = subprocess.run(command, shell=True, cwd=folder, env=ENVIRONMENT, capture_output=True, text=True)
    assert done.returncode == expect, f"{command}\n{done.stdout}\n{done.stderr}"
    return done.stdout + done.stderr


def set_params(folder: Path, **changes) -> None:
    """`set_params(folder, fusion__lr=1)` sets fusion.lr."""
    params = yaml.safe_load((folder / "params.yaml").read_text())
    for name, value in changes.items():
        section = params
        *path, last = name.split("__")
        for part in path:
            section = section[part]
        section[last] = value
    (folder / "params.yaml").write_text(yaml.safe_dump(params, sort_keys=False))


def stages_run(output: str) -> set[str]:
    return {line.split("'")[1] for line in output.splitlines() if line.startswith("Running stage")}


@pytest.fixture(scope="module")
def project(tmp_path_factory) -> Path:
    """The files that git knows (or would take), committed, with everything run once and committed again."""
    folder = tmp_path_factory.mktemp("project")
    listed = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard"], cwd=ROOT, capture_output=True, text=True
    )
    for name in listed.stdout.split("\n"):
        if (ROOT / name).is_file() and not name.startswith("runs/") and name not in ("dvc.lock", "data.dvc"):
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, folder / name)
    shutil.copy2(folder / "smoke.yaml", folder / "params.yaml")
    set_params(folder, matrix__fusion=["late", "concat"])
    shell(folder, "git init -q . && python -m pipeline simulate data --scenes 40 && dvc add -q data")
    output = shell(folder, "dvc repro")
    assert {name.split("@")[0] for name in stages_run(output)} == set(STAGES)
    shell(folder, "git add -A && git commit -qm all")
    return folder


def read(folder: Path, name: str) -> dict:
    return json.loads((folder / "runs" / name).read_text())


def test_every_result_is_there(project):
    params = yaml.safe_load((project / "params.yaml").read_text())
    cells = [f"fusion/{cell}" for cell in cell_names(**{f"{k}s": v for k, v in params["matrix"].items()})]
    for run in [*cells, "lidar", "cilp", "project", "classify"]:
        metrics = read(project, f"{run}/metrics.json")
        assert {"parameters", "epochs", "seconds_per_epoch", "peak_memory_mb"} <= set(metrics)
        assert any(name.startswith("chance") for name in metrics)
        assert (project / "runs" / run / "history.tsv").exists()
        for seed in params["seeds"]:
            assert checkpoint_path(project / "runs" / run, seed).exists()
    assert read(project, "prepare/metrics.json")["train"] == {"cubes": 28, "spheres": 28}
    report = (project / "runs" / "report" / "report.md").read_text()
    for picture in ("fusion", "cilp", "similarity", "predictions"):
        assert f"({picture}.png)" in report and (project / "runs" / "report" / f"{picture}.png").stat().st_size > 5000
    summary = read(project, "report/summary.json")
    assert [f"fusion/{cell}" for cell in summary["accuracy"]] == cells
    assert (
        0 <= summary["tuned_accuracy"] <= 1 and summary["chance_accuracy"] == 0.5 and summary["chance_top1"] == 1 / 16
    )


def test_evaluate_repeats_the_figures_of_the_stages(project):
    for name, figures in read(project, "evaluate/metrics.json").items():
        told = read(project, f"{name}/metrics.json")
        assert figures == {key: told[key] for key in figures} and figures


def test_everything_is_clean_and_a_second_run_does_nothing(project):
    assert shell(project, "git status --porcelain") == ""
    assert "up to date" in shell(project, "dvc status")
    start = time.perf_counter()
    assert stages_run(shell(project, "dvc repro")) == set()
    assert time.perf_counter() - start < 30  # measured elsewhere; here only against running something unseen
    assert shell(project, "git status --porcelain") == ""


def test_offline_wandb_runs_lie_there_without_an_account(project):
    # two fusions x two downsamplings, lidar, cilp, project, classify
    assert len(list((project / "wandb").glob("offline-run-*/run-*.wandb"))) == 8


def test_metrics_and_plots_compare_two_revisions(project):
    assert "tuned_accuracy" in shell(project, "dvc metrics show")
    assert "late-strided" in shell(project, "dvc metrics show runs/fusion/*/metrics.json")
    set_params(project, classify__epochs=1)
    ran = stages_run(shell(project, "dvc repro"))
    assert ran <= {"classify", "evaluate", "report"} and "classify" in ran
    assert len(shell(project, "dvc metrics diff").splitlines()) < 24
    changed = shell(project, "dvc metrics diff --targets runs/classify/metrics.json")
    assert "epochs" in changed and "seconds_per_epoch" in changed
    assert "classify.epochs" in shell(project, "dvc params diff")
    page = shell(project, "dvc plots diff HEAD").strip().removeprefix("file://")
    assert "runs_classify_history_tsv" in Path(page).read_text()
    shell(project, "git checkout -q . && dvc checkout -q")


def test_one_cells_parameter_reruns_that_cell_and_its_readers(project):
    set_params(project, fusion__epochs__late__strided=2)
    ran = stages_run(shell(project, "dvc repro"))
    assert "fusion@late-strided" in ran
    assert ran <= {"fusion@late-strided", "compare", "ablation", "evaluate", "report"}
    shell(project, "git checkout -q . && dvc checkout -q")


def test_the_same_run_gives_the_same_bytes(project):
    models = {path: path.read_bytes() for path in (project / "runs").rglob("*.safetensors")}
    shell(project, "dvc repro -f -s fusion@late-strided cilp")
    for folder in ("fusion/late-strided", "cilp"):
        for path in (project / "runs" / folder).rglob("*.safetensors"):
            assert path.read_bytes() == models[path], path
    assert "history.tsv" not in shell(project, "git status --porcelain")
    shell(project, "git checkout -q . && dvc checkout -q")


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"fusion__lr": -1}, "fusion.lr"),
        ({"lidar__epoch": 3}, "lidar.epoch"),
        ({"matrix__fusion": ["late", "middle"]}, "'late', 'concat', 'add' or 'hadamard'"),
    ],
)
def test_bad_parameters_are_refused_by_name(project, changes, message):
    set_params(project, **changes)
    try:
        output = shell(project, "python -m stages.prepare", expect=1)
        assert message in output and "Traceback" not in output
    finally:
        shell(project, "git checkout -q .")


@pytest.mark.parametrize(("cell", "known"), [("middle maxpool", "'hadamard'"), ("late pooled", "'strided'")])
def test_an_unknown_cell_on_the_command_line_is_refused_with_those_that_exist(project, cell, known):
    output = shell(project, f"python -m stages.fusion {cell}", expect=2)
    assert known in output and "Traceback" not in output
    assert shell(project, "git status --porcelain") == ""


def test_a_broken_file_stops_the_run_and_nothing_is_lost(project):
    frame = project / "data" / "cubes" / "lidar" / "0003.npy"
    whole = frame.read_bytes()
    frame.unlink()  # a hard link to DVC's cache would pass the damage on
    frame.write_bytes(whole[:100])
    try:
        output = shell(project, "dvc repro", expect=255)
        assert "cubes/lidar/0003.npy" in output and "Traceback" not in output
        assert not list((project / "runs" / "prepare").glob(".*partial*"))
    finally:
        frame.write_bytes(whole)
        shell(project, "git checkout -q . && dvc checkout -q")
    assert stages_run(shell(project, "dvc repro")) == set()


def wait_for_training(project: Path, training: subprocess.Popen, runs: int) -> None:
    """Until the stage has opened its wandb run, and a moment more: it is then in its epochs."""
    deadline = time.monotonic() + 60
    while len(list((project / "wandb").glob("offline-run-*"))) == runs:
        assert training.poll() is None and time.monotonic() < deadline
        time.sleep(0.1)
    time.sleep(3)
    assert training.poll() is None


@pytest.mark.parametrize(
    ("command", "blow", "code"),
    [
        ("dvc repro -s fusion@late-strided", signal.SIGKILL, -9),
        ("python -m stages.fusion late strided", signal.SIGINT, 130),
    ],
)
def test_an_interrupted_training_leaves_nothing_that_looks_finished(project, command, blow, code):
    set_params(project, fusion__epochs__late__strided=100_000)
    folder, runs = project / "runs" / "fusion" / "late-strided", len(list((project / "wandb").glob("offline-run-*")))
    for path in (folder / "metrics.json", folder / "history.tsv"):
        path.unlink()
    shutil.rmtree(folder / "models")
    before = signal.signal(signal.SIGINT, signal.SIG_DFL)  # a background job ignores it and so would its children
    training = subprocess.Popen(
        command.split(), cwd=project, env=ENVIRONMENT, start_new_session=True, stderr=subprocess.PIPE, text=True
    )
    signal.signal(signal.SIGINT, before)
    wait_for_training(project, training, runs)
    children = psutil.Process(training.pid).children(recursive=True)
    training.send_signal(blow)
    if blow == signal.SIGKILL:
        for child in children:  # DVC's death is not that of the stage it started
            child.kill()
    _, errors = training.communicate(timeout=30)
    assert training.returncode == code
    assert not (folder / "metrics.json").exists() and not (folder / "models").exists()
    if blow == signal.SIGINT:
        assert "error: interrupted" in errors and "Traceback" not in errors
    shell(project, "git checkout -q . && dvc checkout -q")
    assert stages_run(shell(project, "dvc repro")) == set()

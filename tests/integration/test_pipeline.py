"""The one true run: a fresh checkout, the smoke parameters, 40 scenes, and the commands that a user types."""

import json
import re
import shutil
import signal
import subprocess
import time
from pathlib import Path

import pandas as pd
import psutil
import pytest
import yaml

from pipeline.core.files import read_npy
from pipeline.core.runs import checkpoint_path
from support.commands import ENVIRONMENT, REPRO, TUNINGS, UNTRACKED, read, set_params, shell, stages_run

PICTURES = "data", "contact", "fusion", "costs", "confusion", "predictions", "curve", "stress", "cilp", "similarity"
PICTURES += ("labels",)

pytestmark = pytest.mark.slow


def test_every_result_is_there(finished_run):
    params = yaml.safe_load((finished_run / "params.yaml").read_text())
    cells = [f"fusion/{cell}" for cell in params["matrix"]]
    for run in [*cells, "lidar", "cilp", "project", *TUNINGS]:
        metrics = read(finished_run, f"{run}/metrics.json")
        assert {"parameters", "epochs"} <= set(metrics)
        times = read(finished_run, f"times/{run}/times.json")
        assert set(times) == {"seconds", "seconds_per_epoch", "peak_memory_mb"} and not set(times) & set(metrics)
        assert any(name.startswith("chance") for name in metrics)
        assert (finished_run / "runs" / run / "history.tsv").exists()
        for seed in params["seeds"]:
            assert checkpoint_path(finished_run / "runs" / run, seed).exists()
    assert read(finished_run, "prepare/metrics.json")["train"] == {"cubes": 28, "spheres": 28}
    report = (finished_run / "runs" / "report" / "report.md").read_text()
    for picture in PICTURES:
        path = f"pictures/{picture}.png"
        assert f"({path})" in report and (finished_run / "runs" / "report" / path).stat().st_size > 5000
    summary = read(finished_run, "report/summary.json")
    assert f"fusion/{summary['leader']}" in cells and 0 <= summary["tuned"] <= 1
    assert summary["chance"] == 0.5 and read(finished_run, "cilp/metrics.json")["chance_top1"] == 1 / 16


def test_every_stage_that_computes_with_nets_records_its_precision(finished_run):
    stages = [path.parent for path in (finished_run / "runs").rglob("metrics.json") if path.parent.name != "prepare"]
    used = {str(stage): json.loads((stage / "metrics.json").read_text())["precision"] for stage in stages}
    assert (
        len(used) == 2 * 4 + 1 + 3 + 2 + 1 + 1
    )  # cells and stress, curve, lidar to project, tunings, labels, evaluate
    assert set(used.values()) <= {"float32", "bfloat16"}
    (precision,) = set(used.values())
    assert f"Nets multiply in {precision}." in (finished_run / "runs" / "report" / "report.md").read_text()
    assert f"| precision | {precision} |" in (finished_run / "runs" / "report" / "model_card.md").read_text()


def test_figures_of_another_precision_are_refused(project):
    recorded = read(project, "evaluate/metrics.json")["precision"]
    set_params(project, precision="float32" if recorded == "bfloat16" else "bfloat16")
    for stage in ("stress late-maxpool", "evaluate"):
        output = shell(project, f"python -m stages.{stage}", expect=1)
        assert f"metrics.json: precision is {recorded}, expected" in output and "Traceback" not in output


def test_the_html_report_is_whole_and_has_the_accuracy_of_every_cell(finished_run):
    page = (finished_run / "runs" / "report" / "report.html").read_text()
    assert page.count('src="data:image/png;base64,') == len(PICTURES)
    assert not re.search(r'(src|href)="(https?:)?//', page)
    rows = [re.findall(r"<td[^>]*>(.*?)</td>", row, re.S) for row in re.findall(r"<tr>(.*?)</tr>", page, re.S)]
    table = {row[0]: [figure.split(" ")[0] for figure in row[1:]] for row in reversed(rows) if row}
    for cell in yaml.safe_load((finished_run / "params.yaml").read_text())["matrix"]:
        assert f"{read(finished_run, f'fusion/{cell}/metrics.json')['accuracy']:.4f}" in table[cell], cell


def test_every_cell_is_tested_on_equal_test_pairs(finished_run):
    split = pd.read_csv(finished_run / "runs" / "prepare" / "arrays" / "split.tsv", sep="\t")
    test, seeds = (split["split"] == "test").sum(), 2
    for path in [
        *(finished_run / "runs" / "fusion").glob("*/logits.npy"),
        *(finished_run / "runs" / "curve").glob("*/logits.npy"),
    ]:
        assert read_npy(path).shape[-2:] == (seeds, test), path
    places = split[split["split"] == "test"].reset_index(drop=True).reset_index()  # in the order of the logits
    scene_pairs = places.pivot(index="scene", columns="class", values="index")
    for path in (finished_run / "runs" / "stress").glob("*/logits.npy"):
        cell, logits = path.parent.name, read_npy(path)[0]  # the clean pairs are the first test scenes
        columns = scene_pairs.sort_values("cubes").to_numpy()[: logits.shape[-1] // 2].flatten()
        fusion = read_npy(finished_run / "runs" / "fusion" / cell / "logits.npy")[:, columns]
        assert ((fusion > 0) == (logits > 0)).all() and fusion == pytest.approx(logits, abs=0.02), cell


def test_evaluate_repeats_the_figures_of_the_stages(finished_run):
    trained = read(finished_run, "evaluate/metrics.json")["trained"]
    assert set(trained) == {"lidar", "cilp", "project", *TUNINGS}
    for name, figures in trained.items():
        metrics = read(finished_run, f"{name}/metrics.json")
        assert figures == {key: metrics[key] for key in figures} and figures


def test_everything_is_clean_and_a_second_run_does_nothing(project):
    assert shell(project, "git status --porcelain") == ""
    assert "up to date" in shell(project, "dvc status")
    start = time.perf_counter()
    assert stages_run(shell(project, "dvc repro")) == set()
    assert time.perf_counter() - start < 30  # measured elsewhere; here only against running something unseen
    assert shell(project, "git status --porcelain") == ""


def test_offline_wandb_runs_lie_there_without_an_account(finished_run):
    # four cells; one point of the curve; lidar, cilp, project; two tunings; three nets on 10 labels and on all
    assert len(list((finished_run / "wandb").glob("offline-run-*/run-*.wandb"))) == 4 + 1 + 3 + 2 + 3 * 2


def test_metrics_and_plots_compare_two_revisions(project):
    summary = shell(project, "dvc metrics show")
    assert "zero_shot" in summary and max(map(len, summary.splitlines())) <= 120
    assert "late-strided" in shell(project, "dvc metrics show runs/fusion/*/metrics.json")
    set_params(project, classify__projector_only__epochs=1)
    ran = stages_run(shell(project, f"{UNTRACKED} {REPRO}"))
    assert ran <= {"classify@projector_only", "evaluate", "report"} and "classify@projector_only" in ran
    assert len(shell(project, "dvc metrics diff").splitlines()) < 24
    changed = shell(project, "dvc metrics diff --targets runs/classify/projector_only/metrics.json")
    assert "epochs" in changed and "seconds" not in changed
    assert "classify.projector_only.epochs" in shell(project, "dvc params diff")
    page = shell(project, "dvc plots diff HEAD").strip().removeprefix("file://")
    assert "runs_classify_projector_only_history_tsv" in Path(page).read_text()


def test_a_cell_that_is_added_is_the_only_one_trained(project):
    added = "'+matrix.late_frozen-maxpool={fusion: late_frozen, downsample: maxpool, epochs: 1}'"
    ran = stages_run(shell(project, f"{UNTRACKED} dvc exp run -S {added}"))
    trained = {"fusion@late_frozen-maxpool", "stress@late_frozen-maxpool"}
    assert ran == trained | {"compare@fusion", "compare@ablation", "report"}
    metrics = read(project, "fusion/late_frozen-maxpool/metrics.json")
    assert metrics["trainable_parameters"] == 128 * 64 + 64 + 64 + 1  # the head alone
    assert "late_frozen" in (project / "runs" / "report" / "report.md").read_text()


def test_one_cells_parameter_reruns_that_cell_and_its_readers(project):
    set_params(project, **{"matrix__late-strided__epochs": 2})
    ran = stages_run(shell(project, f"{UNTRACKED} {REPRO}"))
    cell = {"fusion@late-strided", "stress@late-strided"}
    assert cell <= ran <= cell | {"compare@fusion", "compare@ablation", "report"}


def test_trainings_repeated_to_the_byte_make_nothing_else_run(project):
    """The finished run was tracked offline; these are not tracked."""
    trained = {"fusion@late-strided", "curve@4", "lidar", "cilp", "labels"}
    times = [project / "runs" / "times" / name for name in ("fusion/late-strided/times.json", "curve/4/epochs.tsv")]
    before = [path.read_bytes() for path in times]
    outputs = [*(project / "runs").rglob("*.safetensors"), *(project / "runs").rglob("logits.npy")]
    contents = {path: path.read_bytes() for path in outputs}
    tracked = set((project / "wandb").iterdir())
    assert stages_run(shell(project, f"{UNTRACKED} dvc repro -f -s {' '.join(sorted(trained))}")) == trained
    assert all(path.read_bytes() != old for path, old in zip(times, before, strict=True))  # they did run
    assert {path: path.read_bytes() for path in outputs} == contents
    assert set((project / "wandb").iterdir()) == tracked
    assert stages_run(shell(project, "dvc repro")) == set()
    assert shell(project, "git status --porcelain").split() in ([], ["M", "dvc.lock"])  # its times


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"fusion__lr": -1}, "fusion.lr"),
        ({"lidar__epoch": 3}, "lidar.epoch"),
        ({"matrix__late-maxpool__fusion": "middle"}, "hadamard, matmul, gated, attention"),
        ({"curve__fusions": ["middle"]}, "hadamard, matmul, gated, attention"),
    ],
)
def test_bad_parameters_are_refused_by_name(project, changes, message):
    set_params(project, **changes)
    output = shell(project, "python -m stages.prepare", expect=1)
    assert message in output and "Traceback" not in output


@pytest.mark.parametrize("cell", ["middle-maxpool", "late-pooled", "late"])
def test_an_unknown_cell_on_the_command_line_is_refused_with_those_that_exist(project, cell):
    output = shell(project, f"python -m stages.fusion {cell}", expect=1)
    assert f"error: {cell}: found no such cell in matrix of params.yaml" in output and "Traceback" not in output
    assert "late-maxpool, concat-maxpool, rgb-maxpool, late-strided" in output
    assert shell(project, "git status --porcelain") == ""


def test_a_broken_file_stops_the_run_and_nothing_is_lost(project):
    frame = project / "data" / "cubes" / "lidar" / "0003.npy"
    whole = frame.read_bytes()
    frame.unlink()  # a hard link to DVC's cache would pass the damage on
    frame.write_bytes(whole[:100])
    output = shell(project, "dvc repro", expect=255)
    assert "cubes/lidar/0003.npy" in output and "Traceback" not in output
    assert not list((project / "runs" / "prepare").glob(".*partial*"))
    frame.write_bytes(whole)
    shell(project, "git checkout -q . && dvc checkout -q")
    assert stages_run(shell(project, "dvc repro")) == set()


def wait_for_training(project: Path, training: subprocess.Popen, runs: int) -> None:
    """Wait until the stage has opened its wandb run, and a moment more: it is then in its epochs."""
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
        ("python -m stages.fusion late-strided", signal.SIGINT, 130),
    ],
)
def test_an_interrupted_training_leaves_nothing_that_looks_finished(project, command, blow, code):
    set_params(project, **{"matrix__late-strided__epochs": 100_000})
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

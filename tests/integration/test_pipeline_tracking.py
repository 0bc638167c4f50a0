"""The true run in Weights & Biases: its numbers equal those of the files."""

import pandas as pd
import pytest
import yaml

from pipeline.core.runs import checkpoint_path
from support.commands import TUNINGS, read, shell
from support.offline import Logged, read_run, runs

pytestmark = pytest.mark.slow
CELL = "fusion/late-strided"
CHAIN = ["lidar", "cilp", "project", *TUNINGS]


@pytest.fixture(scope="module")
def logged(finished_run) -> dict[str, Logged]:
    """Return run name -> what its first training left in wandb/."""
    found: dict[str, Logged] = {}
    for path in runs(finished_run):
        run = read_run(path)
        found.setdefault(run.run.display_name, run)
    return found


@pytest.mark.parametrize("name", [CELL, *CHAIN])
def test_rows_are_those_of_the_files(finished_run, logged, name):
    runs_folder = finished_run / "runs"
    paths = runs_folder / name / "history.tsv", runs_folder / "times" / name / "epochs.tsv"
    tables = [pd.read_csv(path, sep="\t").set_index("epoch") for path in paths]
    expected = pd.concat(tables, axis=1)
    rows = [item for item in logged[name].history if "lr" in item]  # wandb gives media the epoch they came after
    assert [item["epoch"] for item in rows] == expected.index.tolist()
    for item, (_, row) in zip(rows, expected.iterrows(), strict=True):
        values = {key: value for key, value in item.items() if not key.startswith("_") and key != "epoch"}
        assert values == pytest.approx(row.to_dict(), rel=1e-8, abs=1e-12)
    wanted = {"lr", "train_loss", "val_loss", "gradient_norm", "seconds", "samples_per_second", "peak_memory_mb"}
    wanted |= {"temperature"} if name == "cilp" else set()
    wanted |= set() if name in ("cilp", "project") else {"train_accuracy", "val_accuracy", "train_f1", "val_f1"}
    assert wanted <= set(expected)


@pytest.mark.parametrize("name", [CELL, *CHAIN])
def test_counts_times_and_memory_are_one_number_everywhere(finished_run, logged, name):
    metrics, times = read(finished_run, f"{name}/metrics.json"), read(finished_run, f"times/{name}/times.json")
    summary = {key: value for key, value in logged[name].summary.items() if not key.startswith("_")}
    metrics.pop("confusion", None)  # a chart there
    assert {key: summary[key] for key in (*metrics, *times)} == metrics | times
    assert logged[name].config["parameters"] == metrics["parameters"]
    epochs = pd.read_csv(finished_run / "runs" / "times" / name / "epochs.tsv", sep="\t")
    assert times["seconds"] == round(epochs["seconds"].sum(), 3)
    assert times["seconds_per_epoch"] == round(epochs["seconds"].mean(), 3)
    assert times["peak_memory_mb"] == round(epochs["peak_memory_mb"].max(), 1)


def test_the_report_has_the_same_costs(finished_run):
    rows = (finished_run / "runs" / "report" / "report.md").read_text().splitlines()
    metrics = read(finished_run, "fusion/late-maxpool/metrics.json")
    times = read(finished_run, "times/fusion/late-maxpool/times.json")
    line = next(row for row in rows if row.startswith("|late-maxpool|"))
    assert f"{metrics['parameters']:,}" in line and f"{times['seconds_per_epoch']:.2f}" in line, line


@pytest.mark.parametrize("name", [CELL, *CHAIN])
def test_a_run_records_its_configuration_and_provenance(finished_run, logged, name):
    config, params = logged[name].config, yaml.safe_load((finished_run / "params.yaml").read_text())
    section = params["classify"][name.split("/")[1]] if name in TUNINGS else params[name.split("/")[0]]
    recipe = {key: section[key] for key in ("lr", "batch_size", "schedule", "grad_clip_norm")}
    assert {key: config[key] for key in recipe} == recipe
    assert config["seeds"] == params["seeds"] and config["device"] == "cpu"
    assert config["data"] == yaml.safe_load((finished_run / "data.dvc").read_text())["outs"][0]["md5"]
    assert config["architecture"].count("\n") > 2 and logged[name].run.job_type == name.split("/")[0]
    first = shell(finished_run, "git rev-list --max-parents=0 HEAD").strip()
    assert config["commit"] == first and config["dirty"]  # the preset came after it


def test_a_cell_names_its_fusion_and_net(logged):
    config = logged[CELL].config
    assert config["fusion"] == "late" and config["downsample"] == "strided" and config["widths"]["embed_dim"] > 0


@pytest.mark.parametrize("name", [CELL, *CHAIN])
def test_the_deployed_checkpoint_lies_beside_the_run(finished_run, logged, name):
    (model,) = logged[name].artifacts["model"]
    group = shell(finished_run, "git rev-list --max-parents=0 HEAD").strip()[:7]
    assert model.aliases == {"latest", "best", "seed0", group}
    (copy,) = model.files.values()
    assert copy.read_bytes() == checkpoint_path(finished_run / "runs" / name, 0).read_bytes()


def test_media_are_where_there_is_something_to_see(logged):
    tables = {
        name: {found.name.split("-")[-1] for found in run.artifacts.get("run_table", [])}
        for name, run in logged.items()
    }
    for name in (CELL, "lidar", *TUNINGS):
        assert tables[name] == {"predictions", "confusion_table"}
        assert sum(file.endswith(".pts.json") for file in logged[name].files) == 3


def test_wandb_finds_them_for_a_sync(project):
    assert "offline-run-" in shell(project, "WANDB_SILENT=false wandb sync --dry-run")


def test_an_experiment_is_a_group_even_in_the_queue(project):
    """DVC's queue trains in a copy of the project and throws it away: the runs must outlive it."""
    old = set(runs(project))
    shell(project, "dvc exp run -q --temp -n dusky-tern -S matrix.late-strided.epochs=2 fusion@late-strided")
    (path,) = set(runs(project)) - old
    run = read_run(path)
    assert run.run.run_group == "dusky-tern" == run.config["experiment"] and run.config["epochs"] == 2
    assert run.config["commit"] == shell(project, "git rev-parse HEAD").strip() == run.config["baseline"]
    assert run.config["dirty"]  # its params are not those of the commit
    (model,) = run.artifacts["model"]
    assert "dusky-tern" in model.aliases and all(copy.exists() for copy in model.files.values())

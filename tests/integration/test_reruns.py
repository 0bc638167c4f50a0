"""What an edit reruns: one byte more in a file of each room. The table of docs/architecture.md has the same stages."""

import re
from pathlib import Path

import pytest
from dvc.repo import Repo

from support.commands import ENVIRONMENT, ROOT, STAGES, set_params, shell
from support.documents import rows
from support.projects import copy_project

pytestmark = pytest.mark.slow

TRAININGS = {"fusion", "curve", "lidar", "cilp", "project", "classify", "labels"}
TRANSFER = {"cilp", "project", "classify", "labels"}
EDITS = {
    "pipeline/core/files.py": TRAININGS | {"prepare", "compare", "stress", "evaluate", "report"},
    "pipeline/data/geometry.py": TRAININGS | {"prepare", "compare", "stress", "evaluate", "report"},
    "pipeline/raw/format.py": {"prepare"},
    "pipeline/raw/splitting.py": {"prepare"},
    "pipeline/models/blocks.py": TRAININGS | {"stress", "evaluate"},
    "pipeline/models/fusion.py": {"fusion", "curve", "stress"},
    "pipeline/models/cilp.py": TRANSFER | {"lidar", "evaluate"},
    "pipeline/metrics/classification.py": TRAININGS | {"compare", "stress", "evaluate", "report"},
    "pipeline/training/loop.py": TRAININGS,
    "pipeline/training/step.py": TRAININGS,
    "pipeline/transfer/metrics.py": TRANSFER | {"evaluate"},
    "pipeline/evaluation/corruptions.py": {"stress", "evaluate"},
    "pipeline/report/significance.py": {"compare", "report"},
    "pipeline/report/style.py": {"compare", "report"},
    "pipeline/render/images.py": {"report"},
    "pipeline/config/params.py": set(),
    "pipeline/tracking/wandb_run.py": set(),
    "pipeline/tools/importers/formats/archive.py": set(),
    "pipeline/jobs/driver.py": set(),
    "pipeline/version.py": set(),
    "stages/labels.py": {"labels"},
}


@pytest.fixture(scope="module")
def edited(finished_run: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Copy the finished run for all edits of this file; each edit is undone."""
    return copy_project(finished_run, tmp_path_factory.mktemp("edited") / "project")


def changed_stages(project: Path) -> set[str]:
    """Return the names of the stages whose dependencies have changed, without the matrix's keys."""
    with pytest.MonkeyPatch.context() as patch:
        for name in ("DVC_GLOBAL_CONFIG_DIR", "DVC_SYSTEM_CONFIG_DIR", "DVC_SITE_CACHE_DIR"):
            patch.setenv(name, ENVIRONMENT[name])
        patch.chdir(project)
        with Repo() as repo:
            return {name.split("@")[0] for name in repo.status()}


@pytest.mark.parametrize("name", EDITS)
def test_an_edit_reruns_the_stages_that_use_the_room(edited, name):
    path = edited / name
    before = path.read_bytes()
    path.write_bytes(before + b"\n")
    try:
        assert changed_stages(edited) == EDITS[name]
    finally:
        path.write_bytes(before)


def documented_reruns() -> dict[str, set[str]]:
    """Return the stages of each row of the page's table that names a file or a room in brackets."""
    named = {"all": set(STAGES), "all but prepare": set(STAGES) - {"prepare"}, "none": set()}
    table = rows(ROOT / "docs" / "architecture.md", "an edit of")
    places = {re.search(r"\(`(.+)`\)", edit): stages for edit, stages in table}
    return {
        f"pipeline/{place[1]}": named.get(stages, set(stages.split(", "))) for place, stages in places.items() if place
    }


def test_the_page_lists_these_reruns():
    table = documented_reruns()
    edits = {name: stages for name, stages in EDITS.items() if name.startswith("pipeline/")}
    listed = {name: [table[place] for place in table if name.startswith(place)] for name in edits}
    assert listed == {name: [stages] for name, stages in edits.items()}
    assert [place for place in table if not any(name.startswith(place) for name in edits)] == []


def test_a_parameter_reruns_who_declares_it(edited):
    before = (edited / "params.yaml").read_bytes()
    set_params(edited, lidar__lr=0.01)
    try:
        assert changed_stages(edited) == {"lidar"}
    finally:
        (edited / "params.yaml").write_bytes(before)


def test_another_precision_reruns_every_stage_that_computes_with_nets(edited):
    before = (edited / "params.yaml").read_bytes()
    set_params(edited, precision="float32")
    try:
        assert changed_stages(edited) == TRAININGS | {"stress", "evaluate"}
    finally:
        (edited / "params.yaml").write_bytes(before)


def test_every_room_has_an_edit(edited):
    rooms = {path.name for path in (edited / "pipeline").iterdir() if path.is_dir() and path.name != "__pycache__"}
    assert rooms == {Path(name).parts[1] for name in EDITS if len(Path(name).parts) > 2}


def test_going_back_to_earlier_parameters_restores_and_does_not_train(project):
    metrics = (project / "runs/fusion/late-strided/metrics.json").read_bytes()
    set_params(project, **{"matrix__late-strided__epochs": 2})
    assert "Running stage 'fusion@late-strided'" in shell(project, "dvc repro fusion@late-strided")
    assert (project / "runs/fusion/late-strided/metrics.json").read_bytes() != metrics
    shell(project, "git checkout -q params.yaml")
    output = shell(project, "dvc repro fusion@late-strided")
    assert "Stage 'fusion@late-strided' is cached" in output and "Running stage" not in output
    assert (project / "runs/fusion/late-strided/metrics.json").read_bytes() == metrics

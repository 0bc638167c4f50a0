"""A sweep on a cluster: what it does with the queue, the workspace and the logs. `make cluster-check` trains one."""

import re
import shutil
import socket
from pathlib import Path

import pytest

from pipeline.core.errors import PipelineError
from pipeline.tools.experiments.sweep import list_queue, sweep
from support.commands import ENVIRONMENT, ROOT, shell

PARAMS = "lr: 0.1 # mine\nother: {lr: 1}\n"

pytestmark = pytest.mark.slow


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Make a project of one training, with an edit that is not committed."""
    shutil.copytree(ROOT / "pipeline", tmp_path / "pipeline", ignore=shutil.ignore_patterns("__pycache__", "tools"))
    (tmp_path / "dvc.yaml").write_text("stages: {a: {cmd: cat weights > a, params: [lr], deps: [weights], outs: [a]}}")
    (tmp_path / "params.yaml").write_text("lr: 0.1\n")
    (tmp_path / ".gitignore").write_text("weights\n")
    (tmp_path / "weights").write_text("1\n")
    shell(tmp_path, "git init -q && dvc init -q && git add -A && git commit -qm all")
    (tmp_path / "params.yaml").write_text(PARAMS)
    monkeypatch.chdir(tmp_path)
    for name in ("DVC_GLOBAL_CONFIG_DIR", "DVC_SYSTEM_CONFIG_DIR", "DVC_SITE_CACHE_DIR", "DVC_NO_ANALYTICS"):
        monkeypatch.setenv(name, ENVIRONMENT[name])
    return tmp_path


def test_experiments_that_fail_leave_the_queue_and_the_workspace_is_as_it_was(project: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        address = f"127.0.0.1:{server.getsockname()[1]}"
    with pytest.raises(PipelineError) as failure:
        sweep(["other.lr=0.2"], [Path("weights")], jobs=2, cluster=address)
    error = f"experiment \\S+, other.lr=0.2: CLUSTER={address}: found no cluster of Ray there .*"
    assert re.fullmatch(error, str(failure.value).splitlines()[0])
    assert not list_queue() and shell(project, "git status --porcelain") == " M params.yaml\n"
    assert (project / "params.yaml").read_text() == PARAMS and not (project / "dvc.lock").exists()
    assert [path.name for path in (project / ".dvc/tmp/sweep").iterdir()] == ["all"]


def test_an_interruption_leaves_the_queue_as_it_was(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    shell(project, "dvc exp run -q --queue -n mine")

    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("pipeline.tools.experiments.sweep.scratch_folder", interrupt)
    with pytest.raises(KeyboardInterrupt):
        sweep(["lr=0.2,0.3"], [], jobs=2, cluster="auto")
    assert [each.name for each in list_queue()] == ["mine"] and (project / "params.yaml").read_text() == PARAMS

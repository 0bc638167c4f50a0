"""Trainings on a cluster of Ray, of true node processes, end as they do here: in bytes, in DVC's eyes, in failures."""

import json
import platform
import shutil
import signal
import socket
import subprocess
from collections.abc import Callable, Iterator
from hashlib import sha256
from pathlib import Path

import pytest

from pipeline.core.errors import PipelineError
from pipeline.jobs.cluster import connection, node
from pipeline.jobs.cluster.launcher import find_damage, share_of
from pipeline.jobs.cluster.node import Input, Job, Result, assemble, run_job, scratch_folder
from pipeline.jobs.cluster.numerics import Numerics
from pipeline.jobs.driver import repro
from scripts.ray_nodes import Nodes, start_cluster
from support.commands import ROOT, shell
from support.processes import is_running, wait_for

pytestmark = pytest.mark.environment
HOST = platform.node()
CLEAN = "Data and pipelines are up to date.\n"
STAGES = """
stages:
  first: {cmd: sh first.sh, deps: [first.sh], outs: [first]}
  wide:
    foreach: [x, y, z]
    do:
      cmd: sh wide.sh ${item}
      deps: [first, wide.sh]
      params: [seeds]
      outs: ["wide-${item}", "runs/times/wide/${item}"]
  last: {cmd: cat wide-x wide-y wide-z > last, deps: [wide-x, wide-y, wide-z], outs: [last]}
"""
WIDE = """
echo $1 >> LOG
mkdir runs/times/wide/$1; echo $1 > runs/times/wide/$1/times
mkdir -p wandb/offline-run-$1; echo $1 > wandb/offline-run-$1/run.wandb
(cat first; echo $1) > wide-$1
"""
PATIENT = "sh -c 'echo $$ >> PIDS; while ! test -e GO; do sleep 0.05; done; sleep 0'\n"
RESULT = "1\nx\n1\ny\n1\nz\n"


def files_of(nodes: Nodes, pattern: str) -> list[list[Path]]:
    """Return what lies in the folder that each node has for inputs and scratch."""
    return [list(folder.glob(f"rgb-lidar-cilp-*/{pattern}")) for folder in nodes.folders]


@pytest.fixture(scope="module")
def nodes(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Nodes]:
    with start_cluster([tmp_path_factory.mktemp(name) for name in ("node", "node")]) as started:
        yield started


@pytest.fixture
def farm(project: Path) -> Path:
    """Make the three stages beside each other trainings; each writes a line into `log`."""
    (project / "dvc.yaml").write_text(STAGES)
    (project / "first.sh").write_text("echo 1 > first\n")
    (project / "params.yaml").write_text("seeds: [1, 2]\n")
    (project / ".gitignore").write_text("log\npids\ngo\nwandb\n")
    write_training(project, WIDE)
    shutil.copytree(ROOT / "pipeline", project / "pipeline", ignore=shutil.ignore_patterns("__pycache__", "tools"))
    return project


def write_training(project: Path, script: str) -> None:
    """Write the script of the trainings, with the paths of the files by which a test follows and holds them."""
    for name in ("LOG", "PIDS", "GO"):
        script = script.replace(name, str(project / name.lower()))
    (project / "wide.sh").write_text(script)


def pids(project: Path) -> list[str]:
    path = project / "pids"
    return path.read_text().split() if path.exists() else []


def test_all_is_done_as_here_and_dvc_finds_nothing_to_do(
    farm: Path, nodes: Nodes, log: Callable[[], list[str]]
) -> None:
    assert repro(cluster=nodes.address).startswith("stages: 5 run, 0 restored, 0 unchanged;")
    assert (farm / "last").read_text() == RESULT and shell(farm, "dvc status") == CLEAN
    assert sorted(log()) == ["x", "y", "z"]
    assert (farm / "wandb/offline-run-y/run.wandb").read_text() == "y\n"
    manifest = json.loads((farm / ".dvc/tmp/jobs/manifests/wide@y.json").read_text())
    assert manifest["host"] == HOST and manifest["precision"] in ("float32", "bfloat16")
    assert manifest["exclusive"] and manifest["files"]["wide-y"] == sha256(b"1\ny\n").hexdigest()
    # the scripts and `first`, once a node; of the scratch folders nothing is left
    assert [len(found) for found in files_of(nodes, "inputs/*/content")] == [2, 2]
    assert files_of(nodes, "scratch/*/") == [[], []]
    lock = (farm / "dvc.lock").read_text()
    shell(farm, "rm -r dvc.lock .dvc/cache && dvc repro")
    assert sorted((farm / "dvc.lock").read_text().splitlines()) == sorted(lock.splitlines())


def test_a_failure_names_stage_and_host_and_is_not_tried_again(
    farm: Path, nodes: Nodes, log: Callable[[], list[str]]
) -> None:
    write_training(farm, WIDE + "echo words of $1; test $1 != y\n")
    with pytest.raises(PipelineError) as failure:
        repro(cluster=nodes.address)
    lines = str(failure.value).splitlines()
    assert lines[0].startswith(f"stage wide@y: on {HOST}: exit code 1; ") and lines[1] == "  words of y"
    assert "3 run, 0 restored, 0 unchanged, 1 failed, 1 not started" in lines[2]
    assert sorted(log()) == ["x", "y", "z"] and not (farm / "wide-y").exists()


def test_a_stage_of_a_killed_node_runs_on_another(farm: Path, nodes: Nodes, start: Callable) -> None:
    write_training(farm, PATIENT + WIDE)
    driver = start("--cluster", nodes.address)
    wait_for(lambda: len(pids(farm)) == 2)
    nodes.replace(nodes.folders[0])
    lost, others = pids(farm)[0], pids(farm)[1]
    wait_for(lambda: not (is_running(lost) and is_running(others)))  # the stage ends with its node
    (farm / "go").touch()
    output, errors = driver.communicate(timeout=90)
    # Ray prints of the lost node, the driver its last line
    assert driver.returncode == 0 and output.splitlines()[-1].startswith("stages: 5 run"), errors
    assert (farm / "last").read_text() == RESULT and shell(farm, "dvc status") == CLEAN
    assert len(pids(farm)) == 4  # three, and one of them twice


@pytest.mark.parametrize("how, code", [(signal.SIGINT, 130), (signal.SIGKILL, -9)], ids=["Ctrl-C", "kill -9"])
def test_all_ends_with_the_driver_and_the_next_run_does_the_rest(
    farm: Path, nodes: Nodes, start: Callable, log: Callable[[], list[str]], how: signal.Signals, code: int
) -> None:
    write_training(farm, f"test $1 = x || {PATIENT}{WIDE}")
    driver: subprocess.Popen = start("--cluster", nodes.address)
    wait_for(lambda: len(pids(farm)) == 2 and "wide@x" in (farm / "dvc.lock").read_text())
    driver.send_signal(how)
    _, errors = driver.communicate(timeout=30)
    assert driver.returncode == code and "Traceback" not in errors
    wait_for(lambda: not any(map(is_running, pids(farm))))
    assert log() == ["x"] and not list(farm.glob("wide-[yz]"))
    (farm / "go").touch()
    assert repro(cluster=nodes.address).startswith("stages: 3 run, 0 restored, 2 unchanged;")
    assert sorted(log()) == ["y", "z"] and (farm / "last").read_text() == RESULT
    assert files_of(nodes, "scratch/*/") == [[], []] and shell(farm, "dvc status") == CLEAN


def test_two_projects_on_a_cluster_do_not_disturb_each_other(farm: Path, nodes: Nodes, start: Callable) -> None:
    other = shutil.copytree(farm, farm.parent / "other")
    write_training(other, WIDE.replace("cat first", "cat first first"))
    driver = start("--cluster", nodes.address)
    shell(other, f"python -m pipeline repro --cluster {nodes.address}")
    assert driver.wait(60) == 0 and (farm / "last").read_text() == RESULT
    assert (other / "last").read_text() == RESULT.replace("1\n", "1\n1\n")


def test_another_torch_is_refused_with_stage_and_host(
    farm: Path, nodes: Nodes, monkeypatch: pytest.MonkeyPatch
) -> None:
    elsewhere = Numerics("3.11.0", "1.0", "float32", "a processor", gpu=False)
    monkeypatch.setattr("pipeline.jobs.cluster.launcher.read_numerics", lambda _: elsewhere)
    with pytest.raises(PipelineError, match=f"stage wide@x: on {HOST}: found torch .*, expected 1.0.*; install that"):
        repro(cluster=nodes.address)
    assert "wide" not in (farm / "dvc.lock").read_text()


def test_code_that_changes_during_the_run_is_refused(farm: Path, nodes: Nodes) -> None:
    (farm / "first.sh").write_text("echo 1 > first; echo >> pipeline/version.py\n")
    with pytest.raises(PipelineError, match="stage wide@x: code or parameters changed since the run began; "):
        repro(cluster=nodes.address)
    assert "wide" not in (farm / "dvc.lock").read_text()


def test_another_version_of_ray_is_one_line(nodes: Nodes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ray.__version__", "2.59.0")
    with pytest.raises(PipelineError, match="found another Ray or Python there .*; expected Ray 2.59.0 and Python 3"):
        connection.connect(nodes.address, tmp_path)


def test_without_a_cluster_the_error_says_how_to_start_one(farm: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        address = f"127.0.0.1:{server.getsockname()[1]}"
    for cluster in (address, f"ray://{address}"):
        with pytest.raises(
            PipelineError, match=f"^CLUSTER={cluster}: found no cluster of Ray there .*ray start --head"
        ):
            repro(cluster=cluster)
    with pytest.raises(PipelineError, match="^CLUSTER=nonsense: found no host and port; expected local, auto, ray://"):
        repro(cluster="nonsense")
    monkeypatch.setattr(connection, "find_spec", lambda _: None)
    with pytest.raises(PipelineError, match="needs Ray, which is not installed here; .* -r requirements-cluster.txt"):
        repro(cluster=address)
    assert not (farm / "dvc.lock").exists()


def test_a_node_without_disk_is_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    def full() -> Path:
        raise OSError(28, "No space left on device", "/scratch")

    monkeypatch.setattr(node, "node_folder", full)
    job = Job("a", "true", ".", {}, [], ["a"], 1, "auto", Numerics("3", "2", "float32", "cpu", gpu=False))
    problem = "/scratch: No space left on device; expected a folder with free space that Ray's user may write to; "
    assert run_job(job).problem.startswith(problem) and run_job(job).host == HOST


def test_code_and_inputs_are_links_in_the_scratch_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("code/stages", "inputs"):
        (tmp_path / name).mkdir(parents=True)
    monkeypatch.chdir(tmp_path / "code")
    numerics = Numerics("3", "2", "float32", "cpu", gpu=False)
    job = Job("a", "true", ".", {}, [Input("weights/none", "key", {})], ["runs/a/out"], 1, "auto", numerics)
    assemble(tmp_path / "project", job, tmp_path / "inputs")
    links = [tmp_path / "project" / name for name in ("stages", "weights/none")]
    assert all(link.is_symlink() and link.is_dir() for link in links)  # an empty folder is an input too
    assert (tmp_path / "project/runs/a").is_dir() and (tmp_path / "inputs/key/content").is_dir()


@pytest.mark.parametrize(
    "kind, cure",
    [
        ("ObjectStoreFullError", "start Ray there with a larger --object-store-memory; in Docker add --shm-size=2g"),
        ("OutOfDiskError", "free space below /tmp/ray there, or start Ray with another --temp-dir"),
        ("ObjectLostError", "run it again: what is done is not done twice"),
        ("NodeDiedError", "so it went four times; find out why there, or start Ray with fewer --num-cpus"),
    ],
)
def test_an_error_of_ray_is_one_line_with_its_cure(kind: str, cure: str) -> None:
    from ray import exceptions

    error = type(
        kind, (getattr(exceptions, kind),), {"__init__": lambda _: None, "__str__": lambda _: "words. Advice\nmore"}
    )()
    assert connection.explain(error) == f"{kind}: words; {cure}"


@pytest.mark.parametrize(
    "files, problem",
    [
        ({"a/b": b"1"}, ""),
        ({"a/b": b"2"}, "a/b: found other bytes than its manifest has; "),
        ({}, "a/b: found other bytes than its manifest has; "),
        ({"a/b": b"1", "c": b"1"}, "c: found a file that is no output; "),
        ({"a/b": b"1", "a/../c": b"1"}, "a/../c: found a file that is no output; "),
    ],
)
def test_a_damaged_result_is_refused(files: dict[str, bytes], problem: str) -> None:
    digest = sha256(b"1").hexdigest()
    result = Result("host", code=0, manifest={"files": {path: digest for path in {"a/b", *files}}}, files=files)
    found = find_damage(result, ["a"])
    assert found.startswith(problem) and bool(found) == bool(problem)


def test_stages_share_the_free_cores_of_the_nodes() -> None:
    assert share_of([1, 1], claimed=0, seeds=10, waiting=5) == 1
    assert share_of([1, 1], claimed=2, seeds=10, waiting=5) == 0
    assert share_of([64], claimed=0, seeds=10, waiting=20) == 3
    assert share_of([64], claimed=4, seeds=10, waiting=1) == 10
    assert share_of([4, 4], claimed=0, seeds=10, waiting=1) == 4
    assert share_of([], claimed=0, seeds=10, waiting=1) == 0


def test_scratch_of_a_killed_process_is_deleted_by_the_next(tmp_path: Path) -> None:
    (tmp_path / "dead").mkdir()
    (tmp_path / "dead.lock").touch()
    with scratch_folder(tmp_path) as first, scratch_folder(tmp_path) as second:
        assert first.is_dir() and second.is_dir() and not (tmp_path / "dead").exists()
    assert [path.name for path in tmp_path.iterdir()] == ["all"]

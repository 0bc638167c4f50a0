"""The recipes of deploy/: their own schemas, and their scripts run with stand-ins for Slurm, Ray and make."""

import os
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any

import kubernetes_validate
import pytest
import yaml

from support.commands import ROOT

DEPLOY = ROOT / "deploy"
KUBERNETES = "1.34"
# of KubeRay's ray.io/v1, as far as kuberay.yaml uses them
RAY_JOB = {"entrypoint", "shutdownAfterJobFinishes", "rayClusterSpec"}
CLUSTER = {"headGroupSpec", "workerGroupSpecs"}
HEAD = {"rayStartParams", "template"}
WORKERS = HEAD | {"groupName", "replicas", "minReplicas", "maxReplicas"}
# of SkyPilot's task; `sky` itself accepted the file in version 0.14.1
TASK = {"name", "num_nodes", "resources", "workdir", "setup", "run"}
# writes down its name and arguments; a head of Ray listens until it is ended, as its port tells
PROGRAM = """#!{python} -SE
import os, socket, sys, time
name, *arguments = os.path.basename(sys.argv[0]), *sys.argv[1:]
with open({log!r}, "a") as log:
    log.write(" ".join([name, *arguments]) + "\\n")
options = dict(each.lstrip("-").partition("=")[::2] for each in arguments)
if "count_cores" in arguments[-1]:
    print(3)
if "ray.init" in arguments[-1]:
    host, port = arguments[-1].split("'")[1].split(":")
    socket.create_connection((host, int(port)))
if name == "ray" and "head" in options and not {broken}:
    server = socket.create_server((options["node-ip-address"], int(options["port"])))
    time.sleep(60)
if name == "hostname":
    print("127.0.0.1 10.0.0.7")
sys.exit({broken} if name in ("ray", "make") else 0)
"""


@pytest.fixture
def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as server:
        return int(server.getsockname()[1])


def calls(folder: Path, command: list[str | Path], code: int = 0, broken: int = 0, **variables: str) -> list[str]:
    """Return the calls of stand-ins by a script that ends with `code`; those of Ray and make end with `broken`."""
    (folder / "bin").mkdir(exist_ok=True)
    log = folder / "calls"
    for name in ("ray", "python", "make", "srun", "hostname"):
        (folder / "bin" / name).write_text(PROGRAM.format(python=sys.executable, log=str(log), broken=broken))
        (folder / "bin" / name).chmod(0o755)
    environment = os.environ | {"VENV": str(folder), "PATH": f"{folder}/bin:{os.environ['PATH']}"} | variables
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=60)
    assert done.returncode == code, done.stderr
    return log.read_text().splitlines() if log.exists() else [done.stderr]


def node(role: str, port: int) -> list[str | Path]:
    return ["bash", DEPLOY / "ray_node.sh", role, "127.0.0.1", str(port)]


def test_one_machine_starts_a_head_runs_on_it_and_ends_it(tmp_path: Path, free_port: int) -> None:
    made = calls(tmp_path, node("head", free_port))
    assert made[-1] == f"make run CLUSTER=127.0.0.1:{free_port}"
    (start,) = [call for call in made if call.startswith("ray")]
    assert start.startswith(f"ray start --head --node-ip-address=127.0.0.1 --port={free_port} --num-cpus=3")
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.1", free_port))


def test_a_head_that_does_not_start_is_an_error(tmp_path: Path, free_port: int) -> None:
    made = calls(tmp_path, node("head", free_port), code=1, broken=7)
    assert not [call for call in made if call.startswith("make")]


def test_a_port_in_use_and_an_unknown_role_are_refused(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        assert not [call for call in calls(tmp_path, node("head", port), code=1) if call.startswith(("ray", "make"))]
        assert not [call for call in calls(tmp_path, node("tail", port), code=1) if call.startswith("ray")]


def test_slurm_makes_every_other_node_a_worker_and_the_first_the_head(tmp_path: Path) -> None:
    job = {"SLURM_SUBMIT_DIR": str(ROOT), "SLURM_JOB_ID": "7654321", "SLURMD_NODENAME": "n1"}
    made = calls(tmp_path, ["bash", DEPLOY / "slurm.sbatch"], SLURM_JOB_NUM_NODES="3", **job)
    (worker,) = [call for call in made if call.startswith("srun")]
    assert worker.startswith("srun --nodes=2 --ntasks=2 --exclude=n1 --cpu-bind=none bash deploy/ray_node.sh worker")
    assert worker.endswith(" 127.0.0.1 24321") and made[-1] == "make run CLUSTER=127.0.0.1:24321"
    (tmp_path / "calls").unlink()
    alone = calls(tmp_path, ["bash", DEPLOY / "slurm.sbatch"], SLURM_JOB_NUM_NODES="1", **job)
    assert not [call for call in alone if call.startswith("srun")] and alone[-1].startswith("make run")


@pytest.mark.parametrize("rank, role", [("0", "head"), ("1", "worker")])
def test_skypilot_gives_every_node_its_role(rank: str, role: str, tmp_path: Path) -> None:
    task = yaml.safe_load((DEPLOY / "skypilot.yaml").read_text())
    assert task.keys() == TASK and task["resources"].keys() <= {"cpus", "memory"} and task["workdir"] == "."
    assert subprocess.run(["bash", "-n", "-c", task["setup"]]).returncode == 0
    (tmp_path / "deploy").mkdir()
    (tmp_path / "deploy" / "ray_node.sh").write_text('echo "$VENV $@"')
    environment = os.environ | {
        "SKYPILOT_NODE_IPS": "10.0.0.1\n10.0.0.2",
        "SKYPILOT_NODE_RANK": rank,
        "HOME": "/home/a",
    }
    done = subprocess.run(["bash", "-c", task["run"]], cwd=tmp_path, env=environment, capture_output=True, text=True)
    assert (done.stdout, done.stderr) == (f"/home/a/lab {role} 10.0.0.1 6379\n", "")


def kuberay() -> tuple[dict[str, Any], dict[str, Any]]:
    claim, job = yaml.safe_load_all((DEPLOY / "kuberay.yaml").read_text())
    return claim, job


def test_kubernetes_accepts_the_claim_and_the_pods() -> None:
    claim, job = kuberay()
    kubernetes_validate.validate(claim, KUBERNETES, strict=True)
    cluster = job["spec"]["rayClusterSpec"]
    for group in (cluster["headGroupSpec"], *cluster["workerGroupSpecs"]):
        pod = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "node"}, **group["template"]}
        kubernetes_validate.validate(pod, KUBERNETES, strict=True)


def test_the_job_has_fields_of_kuberay_and_runs_in_the_project_of_the_claim() -> None:
    claim, job = kuberay()
    assert (job["apiVersion"], job["kind"]) == ("ray.io/v1", "RayJob") and job["spec"].keys() == RAY_JOB
    cluster = job["spec"]["rayClusterSpec"]
    head, (workers,) = cluster["headGroupSpec"], cluster["workerGroupSpecs"]
    assert cluster.keys() == CLUSTER and head.keys() == HEAD and workers.keys() == WORKERS
    (volume,) = head["template"]["spec"]["volumes"]
    assert volume["persistentVolumeClaim"]["claimName"] == claim["metadata"]["name"]
    (container,) = head["template"]["spec"]["containers"]
    assert container["volumeMounts"] == [{"name": volume["name"], "mountPath": "/workspace"}]
    assert job["spec"]["entrypoint"] == "cd /workspace && make run CLUSTER=auto"

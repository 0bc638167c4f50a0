"""The connection to a cluster of Ray: opened with one clear error for each thing that is wrong, and closed."""

import os
import platform
import signal
import socket
from importlib.util import find_spec
from pathlib import Path
from uuid import uuid4

from pipeline.core.errors import PipelineError, printable

INSTALL = "pip install -r requirements-cluster.txt -c constraints.txt"
SECONDS_TO_CONNECT = 5
CURES = {
    "NodeDiedError": "so it went four times; find out why there, or start Ray with fewer --num-cpus",
    "ObjectStoreFullError": "start Ray there with a larger --object-store-memory; in Docker add --shm-size=2g",
    "OutOfDiskError": "free space below /tmp/ray there, or start Ray with another --temp-dir",
    "OutOfMemoryError": "start Ray there with fewer --num-cpus",
    "RuntimeEnvSetupError": "Ray cannot write the code; free space below /tmp/ray, here and on the nodes",
    "WorkerCrashedError": "its process was killed four times, perhaps for want of memory; start Ray there with fewer "
    "--num-cpus",
}


def connect(address: str, code: Path) -> None:
    """Connect this process to the cluster at `address`, for tasks that work in a copy of the folder `code`.

    `address` is `auto` for a cluster of this machine, `HOST:6379` or `ray://HOST:10001`. Raises PipelineError.
    """
    if not find_spec("ray") or (address.startswith("ray://") and not find_spec("grpc")):
        raise PipelineError(f"CLUSTER={address} needs Ray, which is not installed here; install it: `{INSTALL}`")
    _require_listener(address)
    import ray
    from ray.exceptions import RayError

    handler = signal.getsignal(signal.SIGTERM)
    # a space of names for this run alone: other runs on the cluster see nothing of it
    namespace = f"rgb-lidar-cilp-{uuid4().hex}"
    # Ray leaves out what a .gitignore names, and this copy lies in a folder that Git ignores
    os.environ["RAY_RUNTIME_ENV_IGNORE_GITIGNORE"] = "1"
    try:
        ray.init(
            address=address,
            namespace=namespace,
            runtime_env={"working_dir": str(code)},
            log_to_driver=False,
            logging_level="ERROR",
        )
    except (ConnectionError, RuntimeError, ValueError) as error:
        ray.shutdown()  # Ray compares versions when it is half connected
        raise PipelineError(_explain_connection(address, error)) from None
    except RayError as error:  # of the code, which Ray puts below /tmp/ray
        ray.shutdown()
        raise PipelineError(f"CLUSTER={address}: {explain(error)}") from None
    finally:
        signal.signal(signal.SIGTERM, handler)  # Ray's own would end this process without an error


def explain(error: Exception) -> str:
    """Return an error of Ray on one line, with its cure where there is one."""
    kinds = [kind.__name__ for kind in type(error).__mro__]
    lines = [line.strip() for line in str(error).splitlines() if line.strip()] or ["no message"]
    # a traceback, or a heading, stands before what went wrong; elsewhere advice comes after the first sentence
    last = kinds[0].startswith(("RayTaskError", "RuntimeEnvSetupError"))
    line = lines[-1] if last else lines[0].partition(". ")[0]
    cure = next((CURES[kind] for kind in kinds if kind in CURES), "run it again: what is done is not done twice")
    return f"{kinds[0]}: {printable(line, 300)}; {cure}"


def find_host(error: Exception) -> str:
    """Return the host of the node that an error of Ray names by its ID, even a lost node; empty if it names none."""
    import ray

    return next((str(node["NodeManagerHostname"]) for node in ray.nodes() if node["NodeID"] in str(error)), "")


def _require_listener(address: str) -> None:
    """Raise PipelineError if nobody listens at the host and port of an address: Ray would try for two minutes."""
    if address == "auto":
        return
    host, _, port = address.removeprefix("ray://").partition(":")
    if not host or not port.isdigit():
        raise PipelineError(
            f"CLUSTER={address}: found no host and port; expected local, auto, ray://HOST:10001 or HOST:6379"
        )
    try:
        socket.create_connection((host, int(port)), SECONDS_TO_CONNECT).close()
    except OSError as error:
        raise PipelineError(_no_cluster(address, str(error.strerror or error))) from None


def _no_cluster(address: str, reason: str) -> str:
    return (
        f"CLUSTER={address}: found no cluster of Ray there ({printable(reason, 200)}); start one: `ray start --head` "
        "on one machine, `ray start --address=HOST:6379` on the others"
    )


def _explain_connection(address: str, error: Exception) -> str:
    import ray

    text = " ".join(str(error).split())
    if "ersion" in text:
        return (
            f"CLUSTER={address}: found another Ray or Python there ({printable(text, 300)}); expected Ray "
            f"{ray.__version__} and Python {platform.python_version()} on every node; install those there"
        )
    return _no_cluster(address, text)

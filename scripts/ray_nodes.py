"""Clusters of Ray on this machine: a head without cores, and nodes of one core, each with a TMPDIR of its own."""

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory, mkdtemp
from typing import Any

BYTES_OF_A_STORE = 100 * 2**20


class Nodes:
    """The nodes of a cluster by their folders, and the address for drivers."""

    def __init__(self, cluster: Any, folders: Sequence[Path], temporary: str) -> None:
        self.address: str = cluster.address
        self.folders = [folder.resolve() for folder in folders]
        self._cluster, self._temporary = cluster, temporary
        self._nodes = {folder: self._add(folder) for folder in self.folders}

    def replace(self, folder: Path) -> None:
        """Kill the node of a folder without grace, and add another in its place."""
        self._cluster.remove_node(self._nodes[folder], allow_graceful=False)
        self._nodes[folder] = self._add(folder)

    def _add(self, folder: Path) -> Any:
        folder.mkdir(parents=True, exist_ok=True)
        # as on a host of its own: a node that starts deletes the code which others of its folder work in. Ray's sockets
        # want a short path
        own = mkdtemp(dir=self._temporary)
        return self._cluster.add_node(
            num_cpus=1, object_store_memory=BYTES_OF_A_STORE, temp_dir=own, env_vars={"TMPDIR": str(folder)}
        )


@contextmanager
def start_cluster(folders: Sequence[Path]) -> Iterator[Nodes]:
    """Start a cluster with a node a folder, and end all of its processes at the end."""
    os.environ |= {"RAY_USAGE_STATS_ENABLED": "0", "RAY_worker_niceness": "0"}  # by default 15, behind all else here
    from ray.cluster_utils import Cluster

    head = {"num_cpus": 0, "object_store_memory": BYTES_OF_A_STORE, "include_dashboard": False}
    with TemporaryDirectory(prefix="ray-", dir="/tmp", ignore_cleanup_errors=True) as temporary:
        cluster = Cluster(initialize_head=True, head_node_args=head)
        try:
            yield Nodes(cluster, folders, temporary)
        finally:
            cluster.shutdown()

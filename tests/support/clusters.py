"""Clusters of true node processes on this machine, and small projects whose trainings run on them."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

MB = 2**20


@contextmanager
def ray_cluster(folders: list[Path], cores: int = 1) -> Iterator["Cluster"]:  # noqa: F821  (Ray is an extra)
    """Start a head without cores and a node of `cores` for each folder, which is the TMPDIR of the node."""
    from ray.cluster_utils import Cluster

    os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
    head = {"num_cpus": 0, "object_store_memory": 80 * MB, "include_dashboard": False}
    cluster = Cluster(initialize_head=True, head_node_args=head)
    try:
        for folder in folders:
            add_node(cluster, folder, cores)
        yield cluster
    finally:
        cluster.shutdown()


def add_node(cluster: "Cluster", folder: Path, cores: int = 1) -> object:  # noqa: F821
    """Add a node whose TMPDIR is `folder`, and return it, for `cluster.remove_node`."""
    folder.mkdir(parents=True, exist_ok=True)
    return cluster.add_node(num_cpus=cores, object_store_memory=80 * MB, env_vars={"TMPDIR": str(folder)})

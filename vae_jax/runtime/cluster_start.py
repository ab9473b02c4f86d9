"""Connecting this process to others, for the entry point: JAX is imported only if there are others."""

import contextlib
from typing import TYPE_CHECKING

from vae_jax.runtime.cluster import TO_BE_FOUND, Cluster

if TYPE_CHECKING:
    from vae_jax.runtime.partners import Partners


def find_cluster(cluster: Cluster | None) -> Cluster | None:
    """Returns the cluster, or the one that JAX finds if it is `TO_BE_FOUND`.

    Raises:
        UserError: if JAX finds no cluster.
    """
    if cluster != TO_BE_FOUND:
        return cluster
    from vae_jax.runtime import cluster_detection

    return cluster_detection.find_cluster()


def watch_partners(
    cluster: Cluster | None,
) -> contextlib.AbstractContextManager["Partners | None"]:
    """Connects this process to the others without JAX, for the duration of a `with` block."""
    if cluster is None:
        return contextlib.nullcontext()
    from vae_jax.runtime import processes

    return processes.watch_partners(cluster)


def join_cluster(cluster: Cluster | None) -> contextlib.AbstractContextManager[None]:
    """Connects this process to the others of its cluster for the duration of a `with` block."""
    if cluster is None:
        return contextlib.nullcontext()
    from vae_jax.runtime import processes

    return processes.join_cluster(cluster)

"""Which of several processes this one is, as JAX reads it from Slurm, Open MPI, Kubernetes or Cloud TPU.

JAX finds the processes only inside of `jax.distributed.initialize`. `Partners` must connect them before, so
this module calls the function that JAX calls there. That function belongs to no public interface of JAX: no
other module uses it, and if it changes, `--distributed` is refused in one line.
"""

import os
import warnings

from vae_jax.errors import UserError
from vae_jax.runtime.cluster import Cluster, check_address, read_local_devices

# Cluster -> the environment variables by which JAX recognises it.
_VARIABLES = {
    "Open MPI": ("OMPI_MCA_orte_hnp_uri",),
    "Slurm": (
        "SLURM_JOB_ID",
        "SLURM_STEP_NODELIST",
        "SLURM_NTASKS",
        "SLURM_PROCID",
        "SLURM_LOCALID",
    ),
    "Cloud TPU": ("TPU_WORKER_HOSTNAMES",),
    "Kubernetes": ("KUBERNETES_SERVICE_HOST",),
}
_ADVICE = "or name --coordinator, --num_processes and --process_id"
_WAIT_SECONDS = 300  # longest time until the name of the first machine is known to the network


def find_cluster() -> Cluster:
    """Returns the cluster that JAX finds. It imports JAX, but does not start it.

    The environment variables JAX_COORDINATOR_ADDRESS, JAX_COORDINATOR_PORT and JAX_LOCAL_DEVICE_IDS
    replace what is found.

    Raises:
        UserError: if there is no cluster that JAX knows, or if its description cannot be read.
    """
    local_devices = read_local_devices()
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # the package `kubernetes` is missing: told below
            address, num_processes, process_id, local_devices = _ask_jax(local_devices)
    except Exception as error:
        reason = " ".join(str(error).split())[:300] or "no reason given"
        raise UserError(
            f"--distributed: JAX cannot read the cluster ({type(error).__name__}: {reason}); correct this, "
            f"{_ADVICE}"
        ) from error
    if None in (address, num_processes, process_id):
        raise UserError(
            f"--distributed: JAX finds no cluster; {_describe_missing()}; start the processes with srun, "
            f"mpirun or a job of the cluster, {_ADVICE}"
        )
    check_address(address, f"--distributed: the coordinator {address}")
    if not 0 <= process_id < num_processes:
        raise UserError(
            f"--distributed: JAX finds number {process_id} for this process and {num_processes} processes, "
            f"whose numbers go from 0 to {num_processes - 1}; correct the job, {_ADVICE}"
        )
    devices = None if local_devices is None else tuple(local_devices)
    return Cluster(address, num_processes, process_id, devices, is_detected=True)


def _ask_jax(
    local_devices: tuple[int, ...] | None,
) -> tuple[str | None, int | None, int | None, tuple[int, ...] | list[int] | None]:
    """Returns address, number of processes, number of this one and its devices, as JAX would use them."""
    from jax._src.clusters import ClusterEnv

    return ClusterEnv.auto_detect_unset_distributed_params(
        os.environ.get("JAX_COORDINATOR_ADDRESS"), None, None, local_devices, None, _WAIT_SECONDS
    )


def _describe_missing() -> str:
    """Returns which environment variables are not set, for every kind of cluster."""
    parts = []
    for cluster, names in _VARIABLES.items():
        missing = [name for name in names if name not in os.environ]
        if missing:
            parts.append(f"{', '.join(missing)} ({cluster})")
    message = f"not set: {'; '.join(parts)}" if parts else ""
    if "KUBERNETES_SERVICE_HOST" in os.environ:
        message += ", and Kubernetes needs the Python package kubernetes"
    return message

"""Several processes that train and score together: which is first, what each computes, what they exchange.

All processes make the same calls in the same order and therefore come to the same decisions. Only the first
process, process 0, reads and writes the workdir, prints and draws. It sends the others what it has read.

P processes, N examples, n examples of one process.
"""

import atexit
import contextlib
import json
import os
import zlib
from collections.abc import Callable, Iterator
from typing import Any

import flax.serialization
import jax
import numpy as np
from jax.experimental import multihost_utils
from jaxtyping import Int, Shaped

from vae_jax.errors import UserError
from vae_jax.runtime.cluster import Cluster
from vae_jax.runtime.partners import Partners, exit_now
from vae_jax.runtime.relay import reach_service, serve_service
from vae_jax.runtime.rendezvous import join
from vae_jax.runtime.signals import StoppedError

_LOSS_SECONDS = 3.0  # after an error of JAX: how long until another process is known to be lost
_SHUTDOWN_SECONDS = 60  # longest time between the first and the last process that disconnects
_HOUR = 3600


@contextlib.contextmanager
def join_cluster(cluster: Cluster, start_seconds: float | None = None) -> Iterator[None]:
    """Connects the processes before any of them computes; after an error a process ends at once.

    Args:
        cluster: the address of process 0, the number of processes, and which of them this one is.
        start_seconds: how long to wait for the other processes, seconds; None for the default.

    Raises:
        UserError: if not all processes have come in that time, if they have different numbers of devices,
            or if one of them is lost.
    """
    with watch_partners(cluster, start_seconds) as partners:
        _connect(cluster, partners)
        _check_devices(cluster)
        yield
        partners.exchange()
        jax.distributed.shutdown()


@contextlib.contextmanager
def watch_partners(cluster: Cluster, start_seconds: float | None = None) -> Iterator[Partners]:
    """Connects the processes without JAX, and ends this one if another is lost.

    Args:
        cluster: as for `join_cluster`.
        start_seconds: as for `join_cluster`.

    Raises:
        UserError: as for `join_cluster`.
    """
    if cluster.local_devices:
        for platform in ("cuda", "rocm"):
            jax.config.update(
                f"jax_{platform}_visible_devices", ",".join(map(str, cluster.local_devices))
            )
    partners = join(cluster, start_seconds)
    try:
        yield partners
        partners.finish()
    except BaseException as error:
        is_own = isinstance(error, (UserError, OSError, StoppedError, KeyboardInterrupt))
        # JAX fails first, with a text of its own, if a process that it waits for is lost.
        is_loss = partners.wait_for_loss(0.0 if is_own else _LOSS_SECONDS) and not is_own
        partners.fail()
        # At exit JAX would wait for the other processes, which may wait for a sum with this process.
        is_no_device = bool(cluster.local_devices) and "initialize backend" in str(error)
        is_users = is_loss or is_no_device or isinstance(error, (UserError, OSError))
        atexit.register(exit_now, 2 if is_users else getattr(error, "status", 1))
        if is_loss:
            raise UserError(partners.loss) from error
        if is_no_device:
            raise UserError(_describe_missing_device(cluster, error)) from error
        raise


def _connect(cluster: Cluster, partners: Partners) -> None:
    """Connects JAX in all processes."""
    # This service would intercept the signal that ends a process. It is not needed, because a stopped run
    # continues from its checkpoint.
    jax.config.update("jax_enable_preemption_service", False)
    # All connections of the service lead to this machine; no proxy may take them.
    os.environ["no_grpc_proxy"] = "127.0.0.1"  # noqa: SIM112
    jax.config.update("jax_check_proxy_envs", False)
    address = serve_service(partners) if partners.is_first else reach_service(partners)
    partners.exchange()
    try:
        jax.distributed.initialize(
            address,
            cluster.num_processes,
            cluster.process_id,
            local_device_ids=cluster.local_devices,
            cluster_detection_method="deactivate",
            coordinator_bind_address=address,
            # `Partners` notices what is lost. JAX would end this process with a stack trace.
            initialization_timeout=_HOUR,
            heartbeat_timeout_seconds=24 * _HOUR,
            shutdown_timeout_seconds=_SHUTDOWN_SECONDS,
        )
    except (RuntimeError, ValueError) as error:
        reason = " ".join(str(error).split())[:160]
        raise UserError(
            f"{cluster.origin} cannot be used ({reason}); name the machine of process 0 and a free port of "
            "that machine"
        ) from error


def _describe_missing_device(cluster: Cluster, error: BaseException) -> str:
    reason = " ".join(str(error).split())[:160]
    return (
        f"this process uses GPU {', '.join(map(str, cluster.local_devices))} of those that it sees, but "
        f"JAX cannot start it ({reason}); let each process see all GPUs of its machine, or set "
        "JAX_LOCAL_DEVICE_IDS to those that it shall use, counted from 0 among those that it sees"
    )


def _check_devices(cluster: Cluster) -> None:
    if jax.process_index() != cluster.process_id:
        raise UserError(
            f"this is process {cluster.process_id}, but its devices belong to process "
            f"{jax.process_index()}; give each process the number of its machine, or use --distributed"
        )
    if jax.device_count() != cluster.num_processes * jax.local_device_count():
        raise UserError(
            f"{cluster.num_processes} processes have {jax.device_count()} devices, but this process has "
            f"{jax.local_device_count()} of them; give each process the same number of devices"
        )


def are_several() -> bool:
    """Returns whether there are other processes."""
    return jax.process_count() > 1


def is_first() -> bool:
    """Returns whether this process reads and writes the workdir, prints and draws."""
    return jax.process_index() == 0


def find_own_columns(batch_size: int) -> Int[np.ndarray, "b"]:
    """Returns the positions in a training batch that belong to the devices of this process."""
    if not are_several():
        return np.arange(batch_size)
    owners = np.repeat([d.process_index for d in jax.devices()], batch_size // jax.device_count())
    return np.flatnonzero(owners == jax.process_index())


def find_own_slice(num_examples: int, batch_size: int) -> slice:
    """Returns the examples that this process scores, in whole batches.

    Each of these batches is one that a single process would make too. The last processes may therefore have
    fewer examples than the others, or none.
    """
    length = _slice_length(num_examples, batch_size)
    return slice(jax.process_index() * length, (jax.process_index() + 1) * length)


def gather_slices(
    values: Shaped[np.ndarray, "n"], num_examples: int, batch_size: int
) -> Shaped[np.ndarray, "N"]:
    """Returns the values of all examples, from the values that each process has for `find_own_slice`."""
    padded = np.zeros(_slice_length(num_examples, batch_size), values.dtype)
    padded[: len(values)] = values
    return gather(padded).reshape(-1)[:num_examples]


def _slice_length(num_examples: int, batch_size: int) -> int:
    num_batches = -(-num_examples // batch_size)
    return -(-num_batches // jax.process_count()) * batch_size


def gather(array: Shaped[np.ndarray, "..."]) -> Shaped[np.ndarray, "P ..."]:
    """Returns, in every process, the arrays of all processes; values may have at most 32 bits."""
    return multihost_utils.process_allgather(array)


def has_any(value: bool) -> bool:
    """Returns, in every process, whether the value is true in any of them."""
    return bool(gather(np.array(value, np.uint32)).any()) if are_several() else value


def compute_on_first(compute: Callable[[], Any]) -> Any:
    """Calls a function in the first process only, and returns its result in all processes.

    Args:
        compute: a function that returns nested dicts of NumPy arrays, strings and numbers.

    Raises:
        UserError: in every process, if `compute` raises it.
    """
    if not are_several():
        return compute()
    message = {}
    if is_first():
        try:
            message = {"result": compute()}
        except UserError as error:
            message = {"error": str(error)}
    encoded = np.frombuffer(flax.serialization.msgpack_serialize(message), np.uint8)
    length = int(multihost_utils.broadcast_one_to_all(np.uint32(len(encoded))))
    encoded = multihost_utils.broadcast_one_to_all(
        encoded if is_first() else np.zeros(length, np.uint8)
    )
    message = flax.serialization.msgpack_restore(np.asarray(encoded).tobytes())
    if "error" in message:
        raise UserError(message["error"])
    return message["result"]


def check_same(*values: Any) -> None:
    """Checks that all processes have the same config and data.

    Args:
        values: a description of config and data that can be written as JSON.

    Raises:
        UserError: in every process, if their values differ.
    """
    digest = zlib.crc32(json.dumps(values, sort_keys=True).encode())
    if len(np.unique(gather(np.array(digest, np.uint32)))) > 1:
        raise UserError(
            "the processes have different configs or data; start all of them with the same flags and on "
            "the same images"
        )

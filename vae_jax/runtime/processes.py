"""Several processes that train and score together: which is first, what each computes, what they exchange.

All processes make the same calls in the same order and therefore come to the same decisions. Only the first
process, process 0, reads and writes the workdir, prints and draws. It sends the others what it has read.

P processes, N examples, n examples of one process.
"""

import atexit
import contextlib
import json
import os
import sys
import threading
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

_START_SECONDS = 300  # longest time between the start of the first and of the last process
_SHUTDOWN_SECONDS = 10  # how long a process that has failed waits for the others to end too
# How long the other processes wait at the end while the first one evaluates and reports, seconds.
_MAX_REPORT_SECONDS = 7 * 24 * 3600


@contextlib.contextmanager
def join_cluster(cluster: Cluster, start_seconds: float = _START_SECONDS) -> Iterator[None]:
    """Connects the processes before any of them computes; after an error a process ends at once.

    Args:
        cluster: the address of process 0, the number of processes, and which of them this one is.
        start_seconds: how long to wait for the other processes, seconds.

    Raises:
        UserError: if not all processes have connected in that time, or if they have different numbers of
            devices.
    """
    try:
        _connect(cluster, start_seconds)
    except UserError:
        # A thread is still trying to connect. It would finally end the process with a stack trace.
        atexit.register(_exit_now, 2)
        raise
    try:
        _check_devices(cluster)
        yield
    except BaseException as error:
        # At exit JAX would wait for the other processes, which may wait for a sum with this process. If all
        # of them fail in the same way, they all arrive here and shut down together.
        if not _succeeds_within(_SHUTDOWN_SECONDS, jax.distributed.shutdown):
            is_users = isinstance(error, (UserError, OSError))
            atexit.register(_exit_now, 2 if is_users else getattr(error, "status", 1))
        raise


def _connect(cluster: Cluster, start_seconds: float) -> None:
    # This service would intercept the signal that ends a process. It is not needed, because a stopped run
    # continues from its checkpoint.
    jax.config.update("jax_enable_preemption_service", False)
    failures = []

    def connect():
        try:
            jax.distributed.initialize(
                cluster.coordinator,
                cluster.num_processes,
                cluster.process_id,
                cluster_detection_method="deactivate",
                initialization_timeout=int(start_seconds) + 60,
                shutdown_timeout_seconds=_MAX_REPORT_SECONDS,
            )
        except Exception as error:  # this is another thread; the error is raised below
            failures.append(" ".join(str(error).split())[:160])

    if not _succeeds_within(start_seconds, connect):
        problem = (
            f"not all of --num_processes={cluster.num_processes} have connected"
            if cluster.process_id == 0
            else "there is no answer, or not all processes have connected"
        )
        raise UserError(
            f"--coordinator={cluster.coordinator}: {problem} within {start_seconds:g} s; start every "
            "process with the same address, the one of process 0, and with its own --process_id"
        )
    if failures:
        raise UserError(
            f"--coordinator={cluster.coordinator} cannot be used ({failures[0]}); name the machine of "
            "process 0 and a free port of that machine"
        )


def _check_devices(cluster: Cluster) -> None:
    if jax.device_count() != cluster.num_processes * jax.local_device_count():
        raise UserError(
            f"{cluster.num_processes} processes have {jax.device_count()} devices, but this process has "
            f"{jax.local_device_count()} of them; give each process the same number of devices"
        )


def _succeeds_within(seconds: float, call: Callable[[], object]) -> bool:
    """Returns whether a call, which JAX cannot cancel, ends in time and without an error."""
    succeeded = threading.Event()

    def attempt():
        with contextlib.suppress(Exception):
            call()
            succeeded.set()

    thread = threading.Thread(target=attempt, daemon=True)
    thread.start()
    thread.join(seconds)
    return succeeded.is_set()


def _exit_now(status: int) -> None:
    """Ends the process without waiting for its threads."""
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(status)


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

"""Several processes that train and score together: which one leads, who has which share, what is told.

All of them make the same calls in the same order, and so come to the same decisions. Process 0 leads: it
alone touches the workdir, prints and draws; what it reads there it tells the others.

P processes, N examples.
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

_PATIENCE = 300  # seconds that processes may start apart
_FAREWELL = 10  # seconds that a process which failed waits for the others to end as well
# Seconds that processes wait at the end while the first evaluates and reports.
_LONGEST_REPORT = 7 * 24 * 3600


@contextlib.contextmanager
def join_cluster(cluster: Cluster, patience: float = _PATIENCE) -> Iterator[None]:
    """Connects the processes, before any of them computes; what fails in one of them ends it at once.

    Args:
        cluster: who and where.
        patience: seconds to wait for the others.

    Raises:
        UserError: if not all processes have come in that time, or they differ in their number of devices.
    """
    try:
        _connect(cluster, patience)
    except UserError:
        # The thread that is still trying would, in the end, end the process with a stack trace.
        atexit.register(_leave, 2)
        raise
    try:
        _check_devices(cluster)
        yield
    except BaseException as error:
        # JAX would wait at exit for the others, who may wait for this one's part of a sum. If they have
        # failed likewise, they come here too, and all part in peace.
        if not _ends(jax.distributed.shutdown, _FAREWELL):
            atexit.register(_leave, 2 if isinstance(error, (UserError, OSError)) else 1)
        raise


def _connect(cluster: Cluster, patience: float) -> None:
    # It takes the signal that ends a process for itself. A stopped run goes on from its checkpoint anyway.
    jax.config.update("jax_enable_preemption_service", False)
    failures = []

    def connect():
        try:
            jax.distributed.initialize(
                cluster.coordinator,
                cluster.num_processes,
                cluster.process_id,
                cluster_detection_method="deactivate",
                initialization_timeout=int(patience) + 60,
                shutdown_timeout_seconds=_LONGEST_REPORT,
            )
        except Exception as error:  # told below, where somebody listens
            failures.append(" ".join(str(error).split())[:160])

    if not _ends(connect, patience):
        what = (
            f"not all of --num_processes={cluster.num_processes} have come"
            if cluster.process_id == 0
            else "nobody answers, or not all processes have come"
        )
        raise UserError(
            f"--coordinator={cluster.coordinator}: {what} in {patience:g} s; start every process with the "
            "same address, that of process 0, and an id of its own"
        )
    if failures:
        raise UserError(
            f"--coordinator={cluster.coordinator} cannot be used ({failures[0]}); name the machine of "
            "process 0 and a port that is free there"
        )


def _check_devices(cluster: Cluster) -> None:
    if jax.device_count() != cluster.num_processes * jax.local_device_count():
        raise UserError(
            f"{cluster.num_processes} processes have {jax.device_count()} devices, this one "
            f"{jax.local_device_count()} of them; give each process equally many"
        )


def _ends(call: Callable[[], object], seconds: float) -> bool:
    """Whether a call, which JAX cannot be asked to give up, ends in time and without an error."""
    ended = threading.Event()

    def attempt():
        with contextlib.suppress(Exception):
            call()
            ended.set()

    thread = threading.Thread(target=attempt, daemon=True)
    thread.start()
    thread.join(seconds)
    return ended.is_set()


def _leave(status: int) -> None:
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(status)


def are_several() -> bool:
    """Whether there are processes beside this one."""
    return jax.process_count() > 1


def is_first() -> bool:
    """Whether this process is the one that reads and writes the workdir, prints and draws."""
    return jax.process_index() == 0


def find_own_columns(batch_size: int) -> Int[np.ndarray, "b"]:
    """Returns which places of a training batch are this process's: those of its devices."""
    if not are_several():
        return np.arange(batch_size)
    owners = np.repeat([d.process_index for d in jax.devices()], batch_size // jax.device_count())
    return np.flatnonzero(owners == jax.process_index())


def find_own_slice(num_examples: int, batch_size: int) -> slice:
    """Returns this process's stretch of examples that are looked at once, in whole batches.

    So each batch is one that a single process would make; the last processes may have less, or nothing.
    """
    length = _length(num_examples, batch_size)
    return slice(jax.process_index() * length, (jax.process_index() + 1) * length)


def gather_slices(
    values: Shaped[np.ndarray, "n"], num_examples: int, batch_size: int
) -> Shaped[np.ndarray, "N"]:
    """Returns the values of all examples, when each process has those of its `find_own_slice`."""
    padded = np.zeros(_length(num_examples, batch_size), values.dtype)
    padded[: len(values)] = values
    return gather(padded).reshape(-1)[:num_examples]


def _length(num_examples: int, batch_size: int) -> int:
    num_batches = -(-num_examples // batch_size)
    return -(-num_batches // jax.process_count()) * batch_size


def gather(array: Shaped[np.ndarray, "..."]) -> Shaped[np.ndarray, "P ..."]:
    """Returns the array of each process, in every one of them; of 32 bits a value at most."""
    return multihost_utils.process_allgather(array)


def compute_on_first(find: Callable[[], Any]) -> Any:
    """Lets the first process find something, and tells all of them.

    Args:
        find: returns nested dicts of numpy arrays, strings and numbers; called in the first process alone.

    Raises:
        UserError: in every process, where `find` raised it.
    """
    if not are_several():
        return find()
    answer = {}
    if is_first():
        try:
            answer = {"found": find()}
        except UserError as error:
            answer = {"refused": str(error)}
    told = np.frombuffer(flax.serialization.msgpack_serialize(answer), np.uint8)
    length = int(multihost_utils.broadcast_one_to_all(np.uint32(len(told))))
    told = multihost_utils.broadcast_one_to_all(told if is_first() else np.zeros(length, np.uint8))
    answer = flax.serialization.msgpack_restore(np.asarray(told).tobytes())
    if "refused" in answer:
        raise UserError(answer["refused"])
    return answer["found"]


def check_same(*given: Any) -> None:
    """Checks that all processes were given the same.

    Args:
        given: config, data: whatever JSON can hold.

    Raises:
        UserError: in every process, if they were not.
    """
    digest = zlib.crc32(json.dumps(given, sort_keys=True).encode())
    if len(np.unique(gather(np.array(digest, np.uint32)))) > 1:
        raise UserError(
            "the processes have not the same config or data; start all of them with the same flags, on the "
            "same images"
        )

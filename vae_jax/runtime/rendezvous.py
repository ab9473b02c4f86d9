"""How the processes of one cluster find each other: all of them connect to process 0.

Process 0 waits until all have come. It names those that have not, and refuses a process whose flags do not
fit.
"""

import contextlib
import os
import socket
import time
from typing import Any

from vae_jax.errors import UserError
from vae_jax.runtime.channel import Channel
from vae_jax.runtime.cluster import Cluster
from vae_jax.runtime.partners import HELLO_SECONDS, Partners

_START_SECONDS = 300.0  # longest time between the start of the first and of the last process
_RETRY_SECONDS = 0.5


def join(cluster: Cluster, start_seconds: float | None = None) -> Partners:
    """Connects this process with the others, and begins to watch them.

    Args:
        cluster: the address of process 0, the number of processes, and which of them this one is.
        start_seconds: how long to wait for the other processes, seconds; None for the default.

    Raises:
        UserError: if not all processes come in that time (the message has their numbers), or if their flags
            do not fit together.
    """
    partners = Partners(cluster)
    deadline = time.monotonic() + (_START_SECONDS if start_seconds is None else start_seconds)
    try:
        if partners.is_first:
            _gather_others(partners, deadline)
        else:
            _find_first(partners, deadline)
    except BaseException:
        partners.close()
        raise
    partners.start()
    return partners


def _gather_others(partners: Partners, deadline: float) -> None:
    """Waits, in process 0, for all other processes."""
    cluster, channels = partners.cluster, partners._channels
    start = time.monotonic()
    partners._listener = listener = _open_port(cluster)
    expected = set(range(1, cluster.num_processes))
    while missing := expected - channels.keys():
        listener.settimeout(max(0.01, deadline - time.monotonic()))
        try:
            connection, _ = listener.accept()
        except TimeoutError:
            reason = (
                f"{_count(missing)} of {cluster.num_processes} did not come within "
                f"{time.monotonic() - start:.0f} s"
            )
            for channel in channels.values():
                with contextlib.suppress(OSError):
                    channel.send({"refuse": reason})
            raise _explain(cluster, reason) from None
        channel = Channel(connection)
        try:
            hello = channel.receive(min(HELLO_SECONDS, max(0.01, deadline - time.monotonic())))
            refusal = _check_hello(partners, hello)
            if refusal:
                channel.send({"refuse": refusal})
        except (OSError, ValueError, KeyError, TypeError):
            refusal = "not one of the processes"
        if refusal:
            channel.close()
            continue
        channels[hello["process"]] = channel
        partners._hosts[hello["process"]] = str(hello["host"])
        for process in [p for p, other in channels.items() if _has_ended(other.socket)]:
            channels.pop(process).close()  # it may be started again
    listener.settimeout(None)
    for channel in channels.values():
        with contextlib.suppress(OSError):
            channel.send({"start": True})


def _check_hello(partners: Partners, hello: dict[str, Any] | None) -> str:
    """Returns why a process cannot take part, "" if it can."""
    cluster, process = partners.cluster, hello["process"]
    if hello["of"] != cluster.num_processes:
        return (
            f"process {process} is one of {hello['of']} processes, but process 0 one of "
            f"{cluster.num_processes}"
        )
    other = partners._channels.get(process)
    if process == 0 or (other and not _has_ended(other.socket)):
        return f"there is another process {process}"
    if other:
        other.close()
    return ""


def _find_first(partners: Partners, deadline: float) -> None:
    """Connects to process 0, and waits until it has all processes."""
    cluster, start, reason = partners.cluster, time.monotonic(), "no answer"
    while time.monotonic() < deadline:
        channel = None
        try:
            channel = Channel(connect_to_first(cluster, deadline - time.monotonic()))
            hello = {"process": cluster.process_id, "of": cluster.num_processes}
            channel.send(hello | {"host": socket.gethostname()})
            # Process 0 gives up at its own deadline, which is later if it has started later.
            message = channel.receive(deadline - time.monotonic() + HELLO_SECONDS)
        except OSError as error:
            reason = error.strerror or str(error) or "no answer"
            message = None
        except ValueError:  # something else listens at this port
            reason, message = "no answer of this program", None
        if channel and not (message and "start" in message):
            channel.close()
        if message and "refuse" in message:
            raise _explain(cluster, message["refuse"])
        if message:
            partners._channels[0] = channel
            return
        time.sleep(_RETRY_SECONDS)
    raise _explain(
        cluster,
        f"process 0 does not answer within {time.monotonic() - start:.0f} s ({reason})",
    )


def connect_to_first(cluster: Cluster, seconds: float) -> socket.socket:
    """Returns a connection to process 0; raises OSError if there is none."""
    host, _, port = cluster.coordinator.rpartition(":")
    connection = socket.create_connection((host.strip("[]"), int(port)), max(0.1, seconds))
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return connection


def _open_port(cluster: Cluster) -> socket.socket:
    port = int(cluster.coordinator.rpartition(":")[2])
    try:
        if socket.has_dualstack_ipv6():
            return socket.create_server(("", port), family=socket.AF_INET6, dualstack_ipv6=True)
        return socket.create_server(("", port))
    except OSError as error:
        name = "set JAX_COORDINATOR_PORT to" if cluster.is_detected else "name"
        raise UserError(
            f"{cluster.origin}: port {port} of this machine cannot be opened "
            f"({os.strerror(error.errno)}); {name} another port, the same for every process"
        ) from error


def _explain(cluster: Cluster, reason: str) -> UserError:
    if cluster.is_detected:
        advice = "start all processes with one srun, mpirun or job"
    else:
        advice = (
            "start every process with the same address, the one of process 0, the same --num_processes and "
            "its own --process_id"
        )
    return UserError(f"{cluster.origin}: {reason}; {advice}")


def _count(processes: set[int]) -> str:
    names = ", ".join(map(str, sorted(processes)[:8])) + (", ..." if len(processes) > 8 else "")
    return f"process{'es' if len(processes) > 1 else ''} {names}"


def _has_ended(connection: socket.socket) -> bool:
    """Returns whether the other side of a connection, which has nothing to say yet, is gone."""
    try:
        connection.settimeout(None)
        return not connection.recv(1, socket.MSG_PEEK | socket.MSG_DONTWAIT)
    except BlockingIOError:
        return False
    except OSError:
        return True

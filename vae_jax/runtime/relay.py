"""Carries the connections of JAX's coordination service over the port of `partners.py`.

If process 0 ended and its service closed these connections, JAX would end this process with a stack trace
before anything could be reported. Therefore each process offers the service at an address of its own, and
passes on every byte in both directions, but not the end of process 0. `Partners` reports that.
"""

import contextlib
import socket
import threading
import time

from vae_jax.runtime.partners import Partners
from vae_jax.runtime.rendezvous import connect_to_first

_CONNECT_SECONDS = 30.0  # longest time until the service of JAX listens
_HOST = "127.0.0.1"

# Connections to JAX whose other side is gone. They must stay open as long as this process lives.
_kept: list[socket.socket] = []


def serve_service(partners: Partners) -> str:
    """Returns, in process 0, a free address for the service, and connects the other processes with it."""
    with socket.create_server((_HOST, 0)) as server:
        port = server.getsockname()[1]

    def relay(connection: socket.socket) -> None:
        deadline = time.monotonic() + _CONNECT_SECONDS
        while True:
            try:
                service = socket.create_connection((_HOST, port))
                break
            except OSError:
                if time.monotonic() > deadline:
                    raise
                time.sleep(0.05)
        _start_pump(service, connection)
        _pump(connection, service)

    partners.relay = relay
    return f"{_HOST}:{port}"


def reach_service(partners: Partners) -> str:
    """Returns, in another process than 0, an address at which it reaches the service of process 0."""
    listener = socket.create_server((_HOST, 0))

    def accept():
        while True:
            client, _ = listener.accept()
            with contextlib.suppress(OSError):
                first = connect_to_first(partners.cluster, _CONNECT_SECONDS)
                first.settimeout(None)
                first.sendall(b'{"relay": true}\n')
                _start_pump(client, first)
                _start_pump(first, client, keep_open=True)

    threading.Thread(target=accept, daemon=True).start()
    return f"{_HOST}:{listener.getsockname()[1]}"


def _start_pump(source: socket.socket, target: socket.socket, *, keep_open: bool = False) -> None:
    threading.Thread(target=_pump, args=(source, target, keep_open), daemon=True).start()


def _pump(source: socket.socket, target: socket.socket, keep_open: bool = False) -> None:
    """Passes on bytes until the source has ended, and then ends the target too, unless it stays open."""
    with contextlib.suppress(OSError):
        while data := source.recv(2**16):
            target.sendall(data)
    if keep_open:
        _kept.append(target)
        return
    with contextlib.suppress(OSError):
        target.shutdown(socket.SHUT_RDWR)

"""Messages between two processes: one JSON value per line of a connection."""

import contextlib
import json
import socket
import threading
from typing import Any

_MAX_LINE = 2**20


class Channel:
    """A connection that carries one JSON value per line; several threads may send.

    Args:
        connection: the connected socket.
    """

    def __init__(self, connection: socket.socket):
        self.socket = connection
        self._reader = connection.makefile("rb")
        self._lock = threading.Lock()

    def send(self, message: dict[str, Any]) -> None:
        """Sends a message; raises OSError if the other side is gone."""
        with self._lock:
            self.socket.sendall(json.dumps(message).encode() + b"\n")

    def receive(self, seconds: float) -> dict[str, Any] | None:
        """Returns the next message, None at the end; raises TimeoutError after so many seconds."""
        self.socket.settimeout(seconds)
        line = self._reader.readline(_MAX_LINE)
        return json.loads(line) if line.endswith(b"\n") else None

    def close(self) -> None:
        """Closes the connection."""
        with contextlib.suppress(OSError):
            self.socket.shutdown(socket.SHUT_RDWR)  # a thread that reads finds the end
        self._reader.close()
        self.socket.close()

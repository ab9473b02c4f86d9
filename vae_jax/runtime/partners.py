"""The processes of one cluster: they find each other, exchange small values, and notice a lost one.

Every process holds a connection to process 0, on which it says every few seconds that it lives. The system
closes the connection of a process that ends, for whatever reason, so its partners notice at once. A process
that is suspended, or whose machine is gone, falls silent. Process 0 tells all others who is lost. None of
this needs JAX, whose own service ends a process with a stack trace when it notices the same.

The address of process 0 has one port, which also carries the connections of `relay.py`.
"""

import collections
import contextlib
import json
import os
import socket
import sys
import threading
import time
from collections.abc import Callable
from typing import Any

from vae_jax.errors import UserError
from vae_jax.runtime.channel import Channel
from vae_jax.runtime.cluster import Cluster
from vae_jax.runtime.printable import make_printable
from vae_jax.runtime.progress import write_below_bars

_BEAT_SECONDS = 5.0  # how often a process says that it lives
_SILENCE_SECONDS = 35.0  # after this time without a word a process is lost
_UNWIND_SECONDS = 10.0  # how long a process may take to end in order after another one was lost
_FAIL_SECONDS = 2.0  # how long a process that has failed waits for others that fail in the same way
HELLO_SECONDS = 10.0  # longest time until a connection says what it is for


class Partners:
    """This process and the others.

    Attributes:
        cluster: which process this one is.
        loss: one line that says which process was lost and how; "" while all are there.
        relay: called, in process 0, with each connection that carries bytes of JAX; None closes them.
    """

    def __init__(self, cluster: Cluster):
        self.cluster = cluster
        self.loss = ""
        self.relay: Callable[[socket.socket], object] | None = None
        self._channels: dict[
            int, Channel
        ] = {}  # in process 0 those of all others, elsewhere that of 0
        self._hosts: dict[int, str] = {}
        self._values: dict[int, collections.deque] = collections.defaultdict(collections.deque)
        self._finished: set[int] = set()  # processes that are done or have failed
        self._is_closed = False
        self._changed = threading.Condition()
        self._listener: socket.socket | None = None

    @property
    def is_first(self) -> bool:
        """Whether this is process 0."""
        return self.cluster.process_id == 0

    def exchange(self, value: Any = None) -> list[Any]:
        """Returns, in every process, the JSON values of all processes; waits until all of them call this.

        Raises:
            UserError: if a process is lost meanwhile.
        """
        others = range(1, self.cluster.num_processes)
        if not self.is_first:
            self._send(0, {"value": value})
            return self._take(0)
        values = [value, *(self._take(process) for process in others)]
        for process in others:
            self._send(process, {"value": values})
        return values

    def check(self) -> None:
        """Raises UserError if a process was lost."""
        if self.loss:
            raise UserError(self.loss)

    def wait_for_loss(self, seconds: float) -> bool:
        """Returns whether a process is lost now or within so many seconds."""
        with self._changed:
            return self._changed.wait_for(lambda: bool(self.loss), seconds)

    def finish(self) -> None:
        """Waits until all processes are done.

        Raises:
            UserError: if a process is lost meanwhile.
        """
        self.exchange()
        self._end({"done": True})

    def fail(self) -> None:
        """Tells the others that this process ends with an error of its own.

        If they fail in the same way, each has a moment to report its error before the first one is gone.
        """
        self._end({"failed": True})
        with self._changed:
            self._changed.wait_for(
                lambda: self.loss or self._finished >= self._channels.keys(), _FAIL_SECONDS
            )

    def close(self) -> None:
        """Closes all connections."""
        self._is_closed = True
        if self._listener:
            self._listener.close()
        for channel in self._channels.values():
            channel.close()

    def _end(self, message: dict[str, Any]) -> None:
        with self._changed:
            self._is_closed = True
        for process in self._channels:
            self._send(process, message)

    def _send(self, process: int, message: dict[str, Any]) -> None:
        with contextlib.suppress(OSError):  # the thread that listens to this process notices
            self._channels[process].send(message)

    def _take(self, process: int) -> Any:
        values = self._values[process]
        with self._changed:
            self._changed.wait_for(lambda: values or self.loss)
            self.check()
            return values.popleft()

    def start(self) -> None:
        """Begins to watch the others, after all have come."""
        if self._listener:
            start_thread(self._accept_relays)
        for process in self._channels:
            start_thread(self._listen, process)
        start_thread(self._beat)

    def _beat(self) -> None:
        while not self._is_closed:
            for process in self._channels:
                self._send(process, {})
            time.sleep(_BEAT_SECONDS)

    def _listen(self, process: int) -> None:
        """Handles what a process says, until it has ended."""
        name = self._name(process)
        while True:
            try:
                message = self._channels[process].receive(_SILENCE_SECONDS)
            except TimeoutError:
                return self._lose(f"{name} has not answered for {_SILENCE_SECONDS:g} s")
            except (OSError, ValueError):
                message = None
            if message is None:
                with self._changed:
                    is_expected = process in self._finished
                    self._finished.add(process)
                    self._changed.notify_all()
                return None if is_expected else self._lose(f"{name} has ended")
            if "value" in message:
                with self._changed:
                    self._values[process].append(message["value"])
                    self._changed.notify_all()
            if "lost" in message:
                return self._lose(message["lost"])
            if "done" in message or "failed" in message:
                with self._changed:
                    self._finished.add(process)
                    self._changed.notify_all()
            if "failed" in message:
                self._lose(f"{name} has ended early and has printed why")

    def _name(self, process: int) -> str:
        host = self._hosts.get(process, self.cluster.coordinator)
        return f"process {process} of {self.cluster.num_processes} ({host})"

    def _lose(self, reason: str) -> None:
        """Records a loss, tells the others, and ends this process if it does not end by itself."""
        with self._changed:
            if self.loss or self._is_closed:
                return
            self.loss = f"{reason}, so this process ends too; start all of them again to continue"
            self._changed.notify_all()
        if self.is_first:
            for process in self._channels:
                self._send(process, {"lost": reason})
        time.sleep(_UNWIND_SECONDS)
        # It waits inside JAX for the lost process, and nothing can interrupt that.
        if not self._is_closed:
            write_below_bars(f"error: {make_printable(self.loss)}")
            exit_now(2)

    def _accept_relays(self) -> None:
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            start_thread(self._greet_relay, connection)

    def _greet_relay(self, connection: socket.socket) -> None:
        with contextlib.suppress(OSError, ValueError):
            connection.settimeout(HELLO_SECONDS)
            # The bytes of JAX follow the greeting, so nothing may be read ahead.
            hello = b""
            while not hello.endswith(b"\n") and len(hello) < 1000 and (byte := connection.recv(1)):
                hello += byte
            if json.loads(hello).get("relay") and self.relay:
                connection.settimeout(None)
                return self.relay(connection)
            Channel(connection).send({"refuse": "all processes have already come"})
        connection.close()
        return None


def start_thread(call: Callable[..., object], *args: Any) -> None:
    """Calls a function in a thread that does not keep the process alive."""
    threading.Thread(target=call, args=args, daemon=True).start()


def exit_now(status: int) -> None:
    """Ends the process without waiting for its threads."""
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(status)

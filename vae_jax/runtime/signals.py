"""SIGTERM and SIGINT end a command in an orderly way, with the status that a shell expects.

A signal raises `StoppedError` at once, except inside `delay_signals`: there the code asks whether a signal
has come, and ends by itself at the next good moment. A second signal always raises at once.
"""

import contextlib
import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from types import FrameType

_HANDLED = (signal.SIGTERM, signal.SIGINT)
_PAUSE = 0.05  # s before a signal is sent again

# The state of the process: whether signals are delayed now, and the signal that came meanwhile.
_is_delayed = False
_pending: int | None = None


class StoppedError(BaseException):
    """A signal has ended the command; no `except Exception` may hold it up.

    Attributes:
        status: the exit status for this signal.
        message: one line for the user.
    """

    def __init__(self, number: int, place: str = ""):
        name = signal.Signals(number).name
        self.status = 128 + number
        self.message = f"stopped by {name}{place}; the same command continues"
        super().__init__(self.message)


@contextlib.contextmanager
def handle_signals() -> Iterator[None]:
    """Handles both signals until the `with` block ends; does nothing outside the main thread."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    previous = {number: signal.signal(number, _handle) for number in _HANDLED}
    previous_hook = sys.unraisablehook

    def send_again(event: "sys.UnraisableHookArgs") -> None:
        """Sends a signal again that has raised where Python drops errors, as in the end of an object."""
        if isinstance(event.exc_value, StoppedError):
            threading.Timer(_PAUSE, os.kill, (os.getpid(), event.exc_value.status - 128)).start()
        else:
            previous_hook(event)

    sys.unraisablehook = send_again
    try:
        yield
    finally:
        if sys.unraisablehook is send_again:
            sys.unraisablehook = previous_hook
        for number, handler in previous.items():
            signal.signal(number, handler)


def _handle(number: int, frame: FrameType | None) -> None:
    global _pending
    del frame
    if _is_delayed and _pending is None:
        _pending = number
        return
    raise StoppedError(number)


@contextlib.contextmanager
def delay_signals() -> Iterator[Callable[[], int | None]]:
    """Delays the first signal until the `with` block ends.

    Yields:
        A function that returns the number of the signal that has come, or None.

    Raises:
        StoppedError: when the block ends without an error, if a signal has come.
    """
    global _is_delayed, _pending
    _is_delayed = True
    try:
        yield lambda: _pending
        if _pending is not None:
            raise StoppedError(_pending)
    finally:
        _is_delayed, _pending = False, None

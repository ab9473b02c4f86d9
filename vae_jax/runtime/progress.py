"""Progress bars that all look the same."""

import contextlib
import contextvars
import logging
import sys
import weakref
from collections.abc import Iterator

import tqdm

_bars: weakref.WeakSet[tqdm.tqdm] = weakref.WeakSet()
_ARE_HIDDEN = contextvars.ContextVar("are_hidden", default=False)


@contextlib.contextmanager
def hide_progress_bars() -> Iterator[None]:
    """Shows no bar while the context is open, for programs that call this package."""
    token = _ARE_HIDDEN.set(True)
    try:
        yield
    finally:
        _ARE_HIDDEN.reset(token)


def open_progress_bar(
    total: int | None, description: str | None, unit: str, done: int = 0
) -> tqdm.tqdm:
    """Returns a progress bar on stderr.

    If stderr is a file and not a terminal, the bar is written only every ten seconds, so that the log stays
    readable. A process whose log shows no warnings shows no bar.

    Args:
        total: number of units at the end; None if it is unknown.
        description: text before the bar; None for no bar.
        unit: singular of what is counted, for example "image".
        done: number of units that were finished before.
    """
    is_wanted = description is not None and not _ARE_HIDDEN.get()
    is_visible = is_wanted and logging.getLogger("vae_jax").isEnabledFor(logging.WARNING)
    bar = tqdm.tqdm(
        total=total,
        initial=done,
        desc=description,
        unit=unit,
        disable=not is_visible,
        mininterval=0.2 if sys.stderr.isatty() else 10.0,
        dynamic_ncols=True,
    )
    _bars.add(bar)
    return bar


def write_below_bars(text: str) -> None:
    """Writes a last line to stderr, also while another thread shows a progress bar there."""
    is_shown = any(not bar.disable for bar in _bars)
    sys.stderr.write(f"\n{text}\n" if is_shown else f"{text}\n")
    sys.stderr.flush()

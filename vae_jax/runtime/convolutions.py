"""Which convolutions a function is traced with: those written for XLA on the CPU, or JAX's own."""

import contextlib
import contextvars
from collections.abc import Iterator

import jax

_only_library = contextvars.ContextVar("only_library", default=False)


def choose_convolutions() -> str:
    """Returns "cpu" if a function is traced for XLA on the CPU, otherwise "library"."""
    is_cpu = jax.default_backend() == "cpu" and not _only_library.get()
    return "cpu" if is_cpu else "library"


@contextlib.contextmanager
def use_library_convolutions() -> Iterator[None]:
    """Chooses JAX's own convolutions for what is traced inside, for example for another runtime than XLA.

    JAX remembers the trace of a function with `jax.jit` by the shapes of its arguments. Trace with shapes
    that nothing else uses, such as an unknown number of images, or a remembered trace is taken.
    """
    token = _only_library.set(True)
    try:
        yield
    finally:
        _only_library.reset(token)

"""One look for every progress bar."""

import logging
import sys

import tqdm


def open_progress_bar(total: int, description: str | None, unit: str, done: int = 0) -> tqdm.tqdm:
    """Returns a bar on stderr, `done` of it behind us already; no description, no bar.

    Where stderr is a file and not a terminal, the bar is written every ten seconds only, so that a log
    stays readable. A process whose log is silenced shows none.
    """
    shown = description is not None and logging.getLogger("vae_jax").isEnabledFor(logging.WARNING)
    return tqdm.tqdm(
        total=total,
        initial=done,
        desc=description,
        unit=unit,
        disable=not shown,
        mininterval=0.2 if sys.stderr.isatty() else 10.0,
        dynamic_ncols=True,
    )

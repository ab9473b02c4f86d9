"""Progress bars that all look the same."""

import logging
import sys

import tqdm


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
    is_visible = description is not None and logging.getLogger("vae_jax").isEnabledFor(
        logging.WARNING
    )
    return tqdm.tqdm(
        total=total,
        initial=done,
        desc=description,
        unit=unit,
        disable=not is_visible,
        mininterval=0.2 if sys.stderr.isatty() else 10.0,
        dynamic_ncols=True,
    )

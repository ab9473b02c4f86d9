"""One look for every progress bar."""

import sys

import tqdm


def progress(total: int, description: str | None, unit: str) -> tqdm.tqdm:
    """Returns a bar on stderr; no description, no bar.

    Where stderr is a file and not a terminal, the bar is written every ten seconds only, so that a log
    stays readable.
    """
    return tqdm.tqdm(
        total=total,
        desc=description,
        unit=unit,
        disable=description is None,
        mininterval=0.2 if sys.stderr.isatty() else 10.0,
        dynamic_ncols=True,
    )

"""A user's table of which images belong together: frames of one video, images of one patient."""

import csv
import pathlib
from collections.abc import Sequence

from vae_jax.errors import UserError

FILE_NAME = "groups.csv"


def read_groups(path: pathlib.Path, columns: Sequence[str]) -> dict[tuple[str, ...], str]:
    """Returns what a row has in some columns -> its group; a row without a group is left out.

    Args:
        path: of a CSV with a head.
        columns: that name an image together; `group` comes beside them.

    Raises:
        UserError: if it is no such table, or puts an image into two groups.
    """
    try:
        with path.open(newline="", encoding="utf-8-sig") as lines:
            rows = [
                (tuple(row[column].strip() for column in columns), row["group"].strip())
                for row in csv.DictReader(lines)
            ]
    except (KeyError, AttributeError, UnicodeDecodeError, csv.Error) as error:
        raise UserError(
            f"{path} is not a table with the columns {', '.join(columns)} and group; mend or remove it"
        ) from error
    found: dict[tuple[str, ...], str] = {}
    for image, group in rows:
        if group and found.setdefault(image, group) != group:
            raise UserError(
                f"{path} puts {'/'.join(image)} into the groups {found[image]} and {group}; keep one"
            )
    return found

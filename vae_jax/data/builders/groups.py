"""A user's table of which images belong together: frames of one video, images of one patient."""

import csv
import pathlib
from collections.abc import Sequence

from vae_jax.errors import UserError

FILE = "groups.csv"


def read(path: pathlib.Path, columns: Sequence[str]) -> dict[tuple[str, ...], str]:
    """Returns what a row has in some columns -> its group; a row without a group is left out.

    Args:
        path: of a CSV with a head.
        columns: that name an image together; `group` comes beside them.

    Raises:
        UserError: if it is no such table.
    """
    try:
        with path.open(newline="", encoding="utf-8-sig") as lines:
            rows = list(csv.DictReader(lines))
        listed = {
            tuple(row[column].strip() for column in columns): row["group"].strip() for row in rows
        }
    except (KeyError, AttributeError, UnicodeDecodeError, csv.Error) as error:
        raise UserError(
            f"{path} is not a table with the columns {', '.join(columns)} and group; mend or remove it"
        ) from error
    return {image: group for image, group in listed.items() if group}

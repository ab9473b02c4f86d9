"""The user's table of images that belong together: the frames of one video or the images of one patient."""

import csv
import io
import pathlib
from collections.abc import Sequence

from vae_jax.data.regular_file import open_file
from vae_jax.errors import UserError

FILE_NAME = "groups.csv"


def read_groups(path: pathlib.Path, columns: Sequence[str]) -> dict[tuple[str, ...], str]:
    """Reads a table of groups.

    Args:
        path: a CSV file with a header.
        columns: the columns that together name an image. The table also needs the column `group`.

    Returns:
        The values of a row in `columns` -> its group. Rows without a group are left out.

    Raises:
        UserError: if the file is not such a table, or puts one image into two groups.
    """
    try:
        with io.TextIOWrapper(open_file(path), "utf-8-sig", newline="") as lines:
            rows = [
                (tuple(row[column].strip() for column in columns), row["group"].strip())
                for row in csv.DictReader(lines)
            ]
    except (KeyError, AttributeError, ValueError, csv.Error) as error:
        raise UserError(
            f"{path} is not a table with the columns {', '.join(columns)} and group; correct or remove it"
        ) from error
    groups: dict[tuple[str, ...], str] = {}
    for image, group in rows:
        if group and groups.setdefault(image, group) != group:
            raise UserError(
                f"{path} puts {'/'.join(image)} into the groups {groups[image]} and {group}; keep one"
            )
    return groups

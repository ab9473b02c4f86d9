"""The file predictions.csv: it grows row by row, and a stopped prediction uses its rows again.

A row remembers size and time of its file. When a prediction starts again, the table so far is set aside,
and the rows of unchanged files are copied from it. So the new table is in the order of the input, whatever
has changed in between. Only 16 bytes per old row are kept in memory. Several processes write a part each,
and a part is joined like the table of a stopped prediction.
"""

import array
import csv
import io
import os
import pathlib
from collections.abc import Iterator, Mapping, Sequence

import numpy as np

from vae_jax.runtime.printable import escape_cell
from vae_jax.scoring.calibration import benjamini_hochberg

FILE = "predictions.csv"
_PART = "predictions.part.{}.csv"  # the table of one of several processes
_SET_ASIDE = "predictions.previous.{}.csv"  # tables of stopped predictions, numbered
_TABLE_BITS = 16  # of a place in the index; the others are those of the offset
_STAMP = ("stored_bytes", "modified_ns")


def set_tables_aside(folder: pathlib.Path) -> None:
    """Renames the table of a folder and all parts of it, so that the next prediction uses their rows again.

    Args:
        folder: folder of the table.
    """
    numbers = [_find_number(path) for path in _list_numbered(folder, _SET_ASIDE)]
    tables = [folder / FILE, *_list_numbered(folder, _PART)]
    for number, path in enumerate(filter(pathlib.Path.exists, tables), max(numbers, default=0) + 1):
        os.replace(path, folder / _SET_ASIDE.format(number))


def _list_numbered(folder: pathlib.Path, pattern: str) -> list[pathlib.Path]:
    return sorted(folder.glob(pattern.format("*")), key=_find_number)


def _find_number(path: pathlib.Path) -> int:
    return int(path.name.split(".")[-2])


class PredictionTable:
    """The table of one prediction; a context manager that closes it.

    The table and the parts that the folder holds are set aside, and their rows are found again. A part
    leaves the folder as it is.

    Attributes:
        path: the file.
        columns: names of the columns.

    Args:
        folder: folder of the table.
        score_names: names of the scores.
        has_tiles: whether an image has a row for each of its tiles. Whether all rows of the last image of
            a table were written is unknown, so they are not used again.
        part: number of this process if several share the images; None for the table of all images.
    """

    def __init__(
        self,
        folder: pathlib.Path,
        score_names: Sequence[str],
        *,
        has_tiles: bool = False,
        part: int | None = None,
    ):
        self._has_tiles = has_tiles
        self.path = folder / (FILE if part is None else _PART.format(part))
        self.columns = (
            "file", "status", "message", *score_names, "p_value", "anomalous", *_STAMP
        )  # fmt: skip
        if part is None:
            set_tables_aside(folder)
        self._old_tables = [path.open("rb") for path in _list_numbered(folder, _SET_ASIDE)]
        self._index = _RowIndex()
        for number, table in enumerate(self._old_tables):
            self._add_rows(number, table)
        self._index.finish()
        self._stream = self.path.open("w", encoding="utf-8", newline="")
        # To check each row for other columns would take as long as to write it.
        self._writer = csv.DictWriter(
            self._stream, self.columns, extrasaction="ignore", lineterminator="\n"
        )
        self._writer.writeheader()

    def __enter__(self) -> "PredictionTable":
        return self

    def __exit__(self, *_: object) -> None:
        for stream in (self._stream, *self._old_tables):
            stream.close()

    def find(self, name: str, stamp: tuple[int, int]) -> list[dict[str, str]]:
        """Returns the rows of an unchanged file from the table of a stopped prediction, [] without any.

        Args:
            name: name of the image.
            stamp: `Source.stamp` of its file.
        """
        if -1 in stamp:
            return []
        key = (escape_cell(name), *map(str, stamp))
        rows: list[dict[str, str]] = []
        last_number = -1
        for number, start in self._index.find(key):
            table = self._old_tables[number]
            table.seek(start)
            row = self._parse(table.readline())
            if self._make_key(row) != key:
                continue
            # The newest table counts, and in it the last time that the file was listed.
            if number != last_number or any(row["file"] == other["file"] for other in rows):
                rows = []
            rows.append(row)
            last_number = number
        return rows

    def write(self, rows: Sequence[Mapping[str, object]]) -> None:
        """Adds rows; a process that is killed later loses none of them."""
        self._writer.writerows(rows)
        self._stream.flush()

    def finish(self) -> None:
        """Removes the tables of stopped predictions, whose rows are no longer needed."""
        for path in _list_numbered(self.path.parent, _SET_ASIDE):
            path.unlink()

    def decide_together(self, rate: float) -> int:
        """Decides about all images together by Benjamini-Hochberg, and writes the column `anomalous` again.

        Args:
            rate: false discovery rate.

        Returns:
            The number of images that are anomalous.
        """
        p_values = np.array([float(row["p_value"]) for row in self._read() if row["p_value"]])
        anomalous = benjamini_hochberg(p_values, rate)
        # Every image with a p-value up to the largest one that was called anomalous is anomalous, too.
        limit = p_values[anomalous].max(initial=0)
        draft = self.path.with_name(f"{FILE}.part")
        with draft.open("w", encoding="utf-8", newline="") as stream:
            writer = csv.DictWriter(stream, self.columns, lineterminator="\n")
            writer.writeheader()
            for row in self._read():
                if row["p_value"]:
                    row["anomalous"] = str(int(float(row["p_value"]) <= limit))
                writer.writerow(row)
        os.replace(draft, self.path)
        return int(anomalous.sum())

    def _read(self) -> Iterator[dict[str, str]]:
        with self.path.open(encoding="utf-8", newline="") as stream:
            yield from csv.DictReader(stream)

    def _add_rows(self, number: int, table: io.BufferedReader) -> None:
        """Adds the rows of a table to the index."""
        last_key, starts = None, []
        for start, row in self._iterate_rows(table):
            key = self._make_key(row)
            if not self._has_tiles:
                self._index.add(key, number, start)
                continue
            if key != last_key:
                for other in starts:
                    self._index.add(last_key, number, other)
                last_key, starts = key, []
            starts.append(start)

    def _iterate_rows(self, table: io.BufferedReader) -> Iterator[tuple[int, dict[str, str]]]:
        """Yields where each whole row begins, and the row; a table with other columns has none."""
        header = table.readline()
        if header.decode("utf-8", "replace").rstrip("\n").split(",") != list(self.columns):
            return
        start = len(header)
        for line in table:
            row = self._parse(line)
            if line.endswith(b"\n") and row is not None:
                yield start, row
            start += len(line)

    def _parse(self, line: bytes) -> dict[str, str] | None:
        cells = next(csv.reader([line.decode("utf-8", "replace")]), [])
        if len(cells) != len(self.columns):
            return None
        return dict(zip(self.columns, cells, strict=True))

    def _make_key(self, row: Mapping[str, str]) -> tuple[str, ...]:
        """Returns name and stamp of the file of a row, which may be one of its tiles."""
        name, at, offset = row["file"].rpartition("@")
        is_tile = self._has_tiles and row["status"] == "ok" and at and offset.isdecimal()
        return (name if is_tile else row["file"], *(row[column] for column in _STAMP))


class _RowIndex:
    """Where the rows of tables begin, by a hash of their keys."""

    def __init__(self):
        self._hashes, self._places = array.array("q"), array.array("q")

    def add(self, key: tuple[str, ...], table: int, start: int) -> None:
        """Adds a row that begins at `start` of the table of this number."""
        self._hashes.append(hash(key))
        self._places.append(start << _TABLE_BITS | table)

    def finish(self) -> None:
        """Sorts the rows, after all of them have been added."""
        hashes, places = (
            np.frombuffer(self._hashes, np.int64),
            np.frombuffer(self._places, np.int64),
        )
        order = np.argsort(hashes, kind="stable")
        self._hashes, self._places = hashes[order], places[order]

    def find(self, key: tuple[str, ...]) -> Iterator[tuple[int, int]]:
        """Yields table and start of the rows that may have this key."""
        value = hash(key)
        first = int(np.searchsorted(self._hashes, value, side="left"))
        while first < len(self._hashes) and self._hashes[first] == value:
            place = int(self._places[first])
            yield place & (1 << _TABLE_BITS) - 1, place >> _TABLE_BITS
            first += 1

"""Names of files that would change what a terminal shows, in messages and in the log."""

import logging
import os

import numpy as np
import pytest

from vae_jax.runtime.printable import (
    PrintableFormatter,
    escape_cell,
    make_printable,
    unescape_cell,
)


@pytest.mark.parametrize(
    ("name", "shown"),
    [
        (b"good/0.png", "good/0.png"),
        (b"a b, $x$ \\n.png", "a b, $x$ \\n.png"),
        ("é 日本 😀.png".encode(), "é 日本 😀.png"),
        (b"a\nb\t\r.png", r"a\nb\t\r.png"),
        (b"\x1b[31m\x07.png", r"\x1b[31m\x07.png"),
        (b"\xff\xe9.png", r"\xff\xe9.png"),
        ("\u202egnp.\u2028\x9b".encode(), r"\u202egnp.\u2028\x9b"),
    ],
)
def test_what_a_terminal_cannot_show_is_escaped(name, shown):
    assert make_printable(os.fsdecode(name)) == shown
    assert make_printable(os.fsdecode(name)).isprintable()


def test_values_in_a_log_line_are_escaped_but_the_line_breaks_of_its_text_are_kept():
    formatter = PrintableFormatter("%(message)s")
    args = ("x\ny\x1b\udcff", np.int64(3), 0.5)
    record = logging.LogRecord("a", logging.INFO, "", 1, "\nfile %s: %d of %.1f", args, None)
    assert formatter.format(record) == "\nfile x\\ny\\x1b\\xff: 3 of 0.5"


def test_a_log_line_without_values_cannot_move_the_cursor():
    record = logging.LogRecord("a", logging.INFO, "", 1, "100% of \x1b[2J", None, None)
    assert PrintableFormatter("%(message)s").format(record) == r"100% of \x1b[2J"


@pytest.mark.parametrize("start", ["=1+1", "+1", "-1", "@a", "'=1", "''@a"])
def test_a_cell_that_a_spreadsheet_would_compute_is_escaped_and_comes_back(start):
    cell = escape_cell(start)
    assert cell == f"'{start}"
    assert unescape_cell(cell) == start


@pytest.mark.parametrize("text", ["a=b", "'a", "", "a\tb\r\n\x1b[2J"])
def test_other_cells_are_only_made_printable(text):
    assert escape_cell(text) == unescape_cell(escape_cell(text)) == make_printable(text)
    assert escape_cell("\t=1") == "\\t=1"

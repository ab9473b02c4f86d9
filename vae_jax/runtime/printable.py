"""Text of the user, such as names of files, as one line that any terminal, table or page can show."""

import logging
import numbers
import re

# What Python cannot decode in the name of a file stands for one byte each (PEP 383).
_FIRST_BYTE, _LAST_BYTE = 0xDC80, 0xDCFF
# A cell of text that begins like this would be a formula to a spreadsheet. Apostrophes before it are those
# of a cell that is escaped already, or of a name that looks like one.
_FORMULA = re.compile(r"'*[=+\-@]")


def make_printable(text: str) -> str:
    """Returns a text in which every character that cannot be shown is escaped as in Python.

    Line breaks, escape sequences of terminals, signs that change the direction of writing and bytes that
    are not UTF-8 are escaped, for example as \\n, \\x1b, \\u202e and \\xff.
    """
    if text.isprintable():
        return text
    return "".join(char if char.isprintable() else _escape(char) for char in text)


def escape_cell(text: str) -> str:
    """Returns text for a cell of a table: one line, which no spreadsheet takes for a formula.

    What begins like a formula gets an apostrophe in front; `unescape_cell` removes it.
    """
    text = make_printable(text)
    return f"'{text}" if _FORMULA.match(text) else text


def unescape_cell(cell: str) -> str:
    """Returns the printable text that `escape_cell` has made a cell of."""
    return cell[1:] if cell.startswith("'") and _FORMULA.match(cell) else cell


def _escape(char: str) -> str:
    if _FIRST_BYTE <= ord(char) <= _LAST_BYTE:
        return f"\\x{ord(char) - 0xDC00:02x}"
    return char.encode("unicode_escape").decode("ascii")


class PrintableFormatter(logging.Formatter):
    """Formats log lines; what a line says about the user's files is made printable.

    Line breaks in the text of a message are kept, but not those in the values that are filled in.
    """

    def formatMessage(self, record: logging.LogRecord) -> str:
        """Returns the line, without the characters that a terminal would obey."""
        text = super().formatMessage(record)
        return "\n".join(make_printable(line) for line in text.split("\n"))

    def format(self, record: logging.LogRecord) -> str:
        """Returns the line of a record whose values are made printable first."""
        if isinstance(record.args, tuple):
            args = tuple(_make_value_printable(value) for value in record.args)
            record = logging.makeLogRecord(record.__dict__ | {"args": args})
        return super().format(record)


def _make_value_printable(value: object) -> object:
    """Returns a number as it is, and the printable text of anything else."""
    return value if isinstance(value, numbers.Number) else make_printable(str(value))

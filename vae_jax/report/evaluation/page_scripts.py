"""The scripts of the page, one file per idea, joined into one text that the page contains.

The page names the digest of this text, so a browser runs it and no other script, whatever the names of
files and classes contain.
"""

import base64
import hashlib
import pathlib
from collections.abc import Sequence

_FOLDER = pathlib.Path(__file__).parent / "scripts"
# In this order; a file uses what the files before it define.
NAMES = (
    "page_data",
    "decisions",
    "plots",
    "threshold_panel",
    "viewer",
    "gallery",
    "tables",
    "address",
    "start",
)
# What a page needs whose only live parts are its tables.
TABLE_NAMES = ("page_data", "tables", "start")


def read_scripts(names: Sequence[str] = NAMES) -> str:
    """Returns scripts, inside of one function, so that they define nothing for other code.

    Args:
        names: names of the files, NAMES or TABLE_NAMES.
    """
    parts = [(_FOLDER / f"{name}.js").read_text(encoding="utf-8") for name in names]
    return '\n(() => {\n"use strict";\n' + "\n".join(parts) + "})();\n"


def hash_script(script: str) -> str:
    """Returns the digest of a script as a Content-Security-Policy names it."""
    digest = hashlib.sha256(script.encode("utf-8")).digest()
    return f"sha256-{base64.b64encode(digest).decode('ascii')}"

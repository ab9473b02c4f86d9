"""Lists of names as a shell or a config file gives them."""

import re
from typing import Any

# Around a whole list only: a folder may be called `good (1)`, or `(old)`.
_BRACKETED = re.compile(r"\(([^()]*,[^()]*)\)|\[([^\[\]]*,[^\[\]]*)\]")
_QUOTED = re.compile(r"'([^']*)'|\"([^\"]*)\"")


def listed(value: Any) -> tuple[str, ...]:
    """Brings a list of names into shape: `3`, `"a,b"`, `"(a, b)"`, `(3, "a")` become tuples of str."""
    if value is None:
        return ()
    texts = map(str, value if isinstance(value, tuple | list) else (value,))
    parts = [
        _without(_QUOTED, part) for text in texts for part in _without(_BRACKETED, text).split(",")
    ]
    return tuple(dict.fromkeys(part for part in parts if part))


def _without(wrapping: re.Pattern[str], text: str) -> str:
    found = wrapping.fullmatch(text.strip())
    return found[found.lastindex] if found else text.strip()

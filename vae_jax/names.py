"""Lists of names as a shell or a config file gives them."""

import re
from typing import Any

_BRACKETED = re.compile(r"\(.*\)|\[.*\]")


def listed(value: Any) -> tuple[str, ...]:
    """Brings a list of names into shape: `3`, `"a,b"`, `"(a, b)"`, `(3, "a")` become tuples of str."""
    if value is None:
        return ()
    texts = map(str, value if isinstance(value, tuple | list) else (value,))
    # Around the whole list only: a folder may be called `good (1)`.
    texts = [text.strip()[1:-1] if _BRACKETED.fullmatch(text.strip()) else text for text in texts]
    parts = [part.strip(" '\"") for text in texts for part in text.split(",")]
    return tuple(dict.fromkeys(part for part in parts if part))

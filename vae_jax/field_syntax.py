"""Config fields whose text has a syntax of its own: lists of names, the rule of masks, intensities.

This module imports neither NumPy nor JAX, so that a mistake in a field is reported at once.
"""

import math
import re
from typing import Any

from vae_jax.errors import UserError

# Brackets are removed only if they enclose a list: a folder may be called `good (1)` or `(old)`.
_BRACKETED = re.compile(r"\(([^()]*,[^()]*)\)|\[([^\[\]]*,[^\[\]]*)\]")
_QUOTED = re.compile(r"'([^']*)'|\"([^\"]*)\"")
_MASK_RULE = re.compile(r"auto|(above|below):\d+")
_INTENSITY = re.compile(r"(window|percentile):([^,]+),([^,]+)")


def parse_names(value: Any) -> tuple[str, ...]:
    """Turns a list of names, however a shell or a config file spells it, into a tuple of str.

    Args:
        value: for example `3`, `"a,b"`, `"(a, b)"`, `"['a', 'b']"`, `(3, "a")` or None.

    Returns:
        The names without brackets, quotes, empty names and repetitions.
    """
    if value is None:
        return ()
    texts = map(str, value if isinstance(value, tuple | list) else (value,))
    names = [
        _unwrap(_QUOTED, part) for text in texts for part in _unwrap(_BRACKETED, text).split(",")
    ]
    return tuple(dict.fromkeys(filter(None, names)))


def _unwrap(wrapping: re.Pattern[str], text: str) -> str:
    """Removes the surrounding spaces, and brackets or quotes that enclose the whole text."""
    match = wrapping.fullmatch(text.strip())
    return match[match.lastindex] if match else text.strip()


def check_mask_rule(rule: str) -> None:
    """Checks the config field `data.mask_values`.

    Raises:
        UserError: if it is no rule that a user may choose.
    """
    if not _MASK_RULE.fullmatch(rule):
        raise UserError(
            f"data.mask_values is {rule!r}; valid: auto, above:N and below:N with a whole number N, for "
            "example above:127"
        )


def split_intensity(text: str) -> tuple[str, float, float]:
    """Returns the kind and the two limits of `data.intensity`; the limits of `full` are 0.

    Raises:
        UserError: if the text has another form, or its limits are not in order.
    """
    if text == "full":
        return "full", 0.0, 0.0
    match = _INTENSITY.fullmatch(text)
    try:
        low, high = map(float, match.groups()[1:]) if match else (math.nan, math.nan)
    except ValueError:
        low = high = math.nan
    if not (math.isfinite(low) and math.isfinite(high)):
        raise UserError(
            f"data.intensity is {text!r}; valid: full, window:LOW,HIGH (stored values), and "
            "percentile:LOW,HIGH (percent), for example window:0,1023 or percentile:0.5,99.5"
        )
    if low >= high:
        raise UserError(
            f"data.intensity is {text!r}; the first number must be below the second number"
        )
    if match[1] == "percentile" and not 0 <= low < high <= 100:
        raise UserError(f"data.intensity is {text!r}; percentiles must be between 0 and 100")
    return match[1], low, high

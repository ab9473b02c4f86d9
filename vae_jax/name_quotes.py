"""Quotes the names of classes and scores on the command line, so that they stay the text that was typed."""

import ast
from collections.abc import Sequence

from vae_jax.field_syntax import parse_names
from vae_jax.validate import LISTS_OF_NAMES


def quote_names(argv: Sequence[str]) -> list[str]:
    """Returns the arguments with every list of names as a tuple of quoted text.

    ml_collections reads a list as Python code, in which the class `1_2` is the number 12.
    """
    flags_of_lists = {f"--config.{field}" for field in LISTS_OF_NAMES}
    args: list[str] = []
    for arg in argv:
        flag, equals, value = arg.partition("=")
        if args and args[-1] in flags_of_lists:  # `--config.FIELD NAMES`, in two arguments
            args[-1] += f"={_quote_list(arg)}"
        elif flag in flags_of_lists and equals:
            args.append(f"{flag}={_quote_list(value)}")
        else:
            args.append(arg)
    return args


def _quote_list(text: str) -> str:
    """Returns the tuple of the names in a text, as Python code."""
    try:
        value = ast.literal_eval(text.strip())
    except (ValueError, SyntaxError, MemoryError, RecursionError):
        value = None
    if isinstance(value, str):
        return repr(parse_names(value))
    # Quoted names, whose commas and quotes are part of them; numbers among them need the text below.
    if isinstance(value, tuple | list) and all(isinstance(name, str) for name in value):
        return repr(parse_names(value))
    if isinstance(value, list) and len(value) == 1:  # elsewhere brackets enclose several names
        text = text.strip()[1:-1]
    return repr(parse_names(text))

"""The exception for a mistake that the user can correct, and the hint at the name that was meant."""

import difflib
from collections.abc import Iterable


class UserError(Exception):
    """A mistake that the user can correct: the message says what is wrong, with its value, and what to do.

    `main` prints the message as one line on stderr, without a traceback, and exits with status 2.
    Messages are therefore one line, and name the value that was refused.
    """


def suggest_name(name: str, names: Iterable[str], max_suggestions: int = 1) -> str:
    """Returns a question for an error message: which of the valid names the user may have meant.

    Args:
        name: the name that is not valid.
        names: every valid name.
        max_suggestions: how many names the question may list, the most similar first.

    Returns:
        For example "did you mean val or train?"; empty if no valid name is similar.
    """
    similar = difflib.get_close_matches(name, list(names), n=max_suggestions, cutoff=0.5)
    return f"did you mean {' or '.join(similar)}?" if similar else ""

"""The one kind of exception that means: the user can mend this."""


class UserError(Exception):
    """Something the user can mend: what was wrong, with its value, and what to do.

    `main` prints the message as one line on stderr, without a traceback, and exits with status 2.
    Messages are therefore one line, and name the value that was refused.
    """

"""What the machine has."""

import os
import pathlib

_OF_CONTAINER = pathlib.Path("/sys/fs/cgroup/memory.max")  # "max", or bytes; Linux alone has it


def memory_bytes() -> int:
    """Returns how much memory there is: the machine's, or what its container is given of it."""
    whole = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    try:
        return min(whole, int(_OF_CONTAINER.read_text()))
    except (OSError, ValueError):
        return whole

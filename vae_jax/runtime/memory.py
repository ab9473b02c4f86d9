"""Memory: what the machine has, and how much of it the process has taken at most."""

import os
import pathlib
import resource
import sys

_OF_CONTAINER = pathlib.Path("/sys/fs/cgroup/memory.max")  # "max", or bytes; Linux alone has it


def measure_memory_bytes() -> int:
    """Returns how much memory there is: the machine's, or what its container is given of it."""
    whole = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    try:
        return min(whole, int(_OF_CONTAINER.read_text()))
    except (OSError, ValueError):
        return whole


def measure_peak_memory_bytes() -> int:
    """Returns the peak of the busiest accelerator; on the CPU the peak of the process.

    Images that stay on disk count there as far as they have been looked at: they are mapped into memory,
    which the system takes back when somebody else needs it.
    """
    import jax  # the allocator asks for the machine's memory before JAX may start

    peaks = [
        (device.memory_stats() or {}).get("peak_bytes_in_use") for device in jax.local_devices()
    ]
    if any(peaks):
        return max(peak for peak in peaks if peak)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024  # Linux counts in KiB

"""The memory of the machine, and the peak memory of the process."""

import os
import pathlib
import resource
import sys

# The memory limit of the container: "max" or a number of bytes. Only Linux has this file.
_CONTAINER_LIMIT = pathlib.Path("/sys/fs/cgroup/memory.max")


def measure_memory_bytes() -> int:
    """Returns the memory of the machine, or of the container if that has less, bytes."""
    of_machine = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    try:
        return min(of_machine, int(_CONTAINER_LIMIT.read_text()))
    except (OSError, ValueError):
        return of_machine


def measure_peak_memory_bytes() -> int:
    """Returns the peak of the accelerator that needs most memory or, on the CPU, of the process, bytes.

    On the CPU this includes the images on disk that have been read: they are mapped into memory, which the
    system takes back when another program needs it.
    """
    import jax  # the allocator imports this module before JAX may start

    peaks = [
        (device.memory_stats() or {}).get("peak_bytes_in_use") for device in jax.local_devices()
    ]
    if any(peaks):
        return max(peak for peak in peaks if peak)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024  # Linux counts in KiB

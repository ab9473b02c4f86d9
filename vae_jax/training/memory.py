"""How much memory the process has taken at most."""

import resource
import sys

import jax


def peak_memory_bytes() -> int:
    """Returns the peak of the busiest accelerator; on the CPU the peak of the process.

    Images that stay on disk count there as far as they have been looked at: they are mapped into memory,
    which the system takes back when somebody else needs it.
    """
    peaks = [
        (device.memory_stats() or {}).get("peak_bytes_in_use") for device in jax.local_devices()
    ]
    if any(peaks):
        return max(peak for peak in peaks if peak)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024  # Linux counts in KiB

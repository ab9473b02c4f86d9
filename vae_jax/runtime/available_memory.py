"""The memory that this process may still take, and the refusal of what certainly does not fit into it.

This module imports no JAX, so that a size that is too large is reported at once.
"""

import os
import pathlib
import resource
from collections.abc import Iterator

from vae_jax.errors import UserError

_PROC = pathlib.Path("/proc")
_CONTROL_GROUPS = pathlib.Path("/sys/fs/cgroup")
_DEVICES = pathlib.Path("/dev")
# Files of the drivers of NVIDIA's, AMD's and Google's accelerators, and of GPUs in Windows' Linux.
_ACCELERATORS = ("nvidia[0-9]*", "kfd", "accel*", "vfio/[0-9]*", "dxg")
_UNITS = ("bytes", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB")
_LARGEST = "1,000 EiB"


def check_fits(purpose: str, needed: int, available: int, advice: str) -> None:
    """Refuses what needs more memory than there is.

    Args:
        purpose: what needs the memory, the subject of the message, in the singular.
        needed: bytes that it needs at least.
        available: bytes that there are.
        advice: what the user can do.

    Raises:
        UserError: if more is needed than there is; the message has both numbers.
    """
    if needed > available:
        raise UserError(
            f"{purpose} needs at least {format_bytes(needed)} of memory, but {format_bytes(available)} are "
            f"available; {advice}"
        )


def format_bytes(count: int) -> str:
    """Returns a number of bytes as text, for example "1.5 GiB"; larger ones than 1,000 EiB as this."""
    power = min((max(count, 1).bit_length() - 1) // 10, len(_UNITS) - 1)
    value = count / 1024**power if count < 2**200 else float("inf")
    if value >= 1000 and power == len(_UNITS) - 1:
        return _LARGEST
    return f"{count} bytes" if power == 0 else f"{value:.1f} {_UNITS[power]}"


def measure_available_bytes() -> int:
    """Returns the memory that this process may still take, bytes.

    It is the free memory of the machine, or what a container or a limit of the process leaves if that is
    less. Memory that the system can take back from its file cache counts as free, and so does free swap
    space.
    """
    machine = _read_table(_PROC / "meminfo")
    swap = 1024 * machine.get("SwapFree:", 0)
    limits = [free + swap for free in _list_free_of_groups()]
    if "MemAvailable:" in machine:
        limits.append(1024 * machine["MemAvailable:"] + swap)
    else:  # for example macOS
        limits.append(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"))
    address_space, _ = resource.getrlimit(resource.RLIMIT_AS)
    if address_space != resource.RLIM_INFINITY:
        limits.append(address_space)
    return max(0, min(limits))


def has_accelerator() -> bool:
    """Returns whether JAX may use another device than the CPU, as far as this can be told without JAX."""
    platforms = os.environ.get("JAX_PLATFORMS", "")
    if platforms.split(",")[0] == "cpu":
        return False
    return any(any(_DEVICES.glob(pattern)) for pattern in _ACCELERATORS)


def _list_free_of_groups() -> Iterator[int]:
    """Yields what each control group of the process leaves, bytes; none of a group without a limit."""
    for folder in _list_groups():
        for limit_file, usage_file, caches in (
            ("memory.max", "memory.current", ("inactive_file", "active_file")),
            (
                "memory.limit_in_bytes",
                "memory.usage_in_bytes",
                ("total_inactive_file", "total_active_file"),
            ),
        ):
            limit, usage = _read_number(folder / limit_file), _read_number(folder / usage_file)
            if limit is not None and usage is not None:
                statistics = _read_table(folder / "memory.stat")
                yield limit - usage + sum(statistics.get(name, 0) for name in caches)


def _list_groups() -> list[pathlib.Path]:
    """Returns the folders of the control groups of the process that may limit its memory."""
    try:
        lines = (_PROC / "self/cgroup").read_text().splitlines()
    except OSError:
        return []
    folders = []
    for line in lines:  # number of the hierarchy, controllers, path of the group
        _, controllers, path = line.split(":", 2)
        if controllers == "":
            root = _CONTROL_GROUPS
        elif "memory" in controllers.split(","):
            root = _CONTROL_GROUPS / "memory"
        else:
            continue
        # In a container the path may be one of the host, which does not exist; then the root is the group.
        group = pathlib.PurePosixPath(path.lstrip("/"))
        folders += [root / part for part in (group, *group.parents)]
    return list(dict.fromkeys(folders))


def _read_number(path: pathlib.Path) -> int | None:
    """Returns the number in a file; None if there is no such file, or a word such as "max"."""
    try:
        return int(path.read_text())
    except (OSError, ValueError):
        return None


def _read_table(path: pathlib.Path) -> dict[str, int]:
    """Returns first word -> second word of each line whose second word is a number; {} without the file."""
    try:
        lines = path.read_text().splitlines()
    except OSError:
        return {}
    words = [line.split() for line in lines]
    return {row[0]: int(row[1]) for row in words if len(row) > 1 and row[1].isdecimal()}

"""Makes the memory allocator of the process keep freed memory, and use large pages."""

import ctypes

from vae_jax.runtime.memory import measure_memory_bytes

# These names and values are from <malloc.h> and <sys/mman.h>.
_M_TRIM_THRESHOLD = -1
_M_MMAP_MAX = -4
_M_ARENA_MAX = -8
_MADV_HUGEPAGE = 14

# Size of the heap in large pages. A training step of every shipped config needs less than this, except the
# configs with the largest images.
_MAX_BYTES = 3 * 2**29
# Bytes of a large page if normal pages have 4 KiB. With other page sizes large pages start a little later.
_LARGE_PAGE = 2**21


def keep_memory() -> None:
    """Makes glibc keep freed memory for the next step; does nothing with another C library.

    A training step on the CPU allocates and frees temporary arrays of many megabytes. By default glibc
    returns each of them to the system and requests it again, and every page of it causes a page fault.
    Keeping the memory saves 7 to 11 % of the processor time of a step on the Kvasir model. Large pages save
    another 2 to 8 % where Linux lets a program choose them.
    """
    try:
        libc = ctypes.CDLL(None)
        mallopt = libc.mallopt
    except (AttributeError, OSError, TypeError):
        return
    mallopt(_M_MMAP_MAX, 0)
    mallopt(_M_TRIM_THRESHOLD, -1)  # never
    mallopt(_M_ARENA_MAX, 1)
    if not _has_address_limit():
        _use_large_pages(libc, min(_MAX_BYTES, measure_memory_bytes() // 8))


def _has_address_limit() -> bool:
    """Returns whether the address space of the process is limited, so that none should be reserved."""
    import resource  # only Unix has this module; a system with glibc is a Unix

    limits = (resource.RLIMIT_AS, resource.RLIMIT_DATA)
    return any(resource.getrlimit(which)[0] != resource.RLIM_INFINITY for which in limits)


def _use_large_pages(libc: ctypes.CDLL, num_bytes: int) -> None:
    """Extends the heap at once, because large pages can only be requested for addresses that exist.

    The system provides memory for these addresses only when the program writes to them.
    """
    libc.sbrk.restype = libc.malloc.restype = ctypes.c_void_p
    libc.sbrk.argtypes = [ctypes.c_ssize_t]
    libc.malloc.argtypes = [ctypes.c_size_t]
    libc.free.argtypes = [ctypes.c_void_p]
    libc.madvise.argtypes = [ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int]
    start = libc.sbrk(0)
    libc.free(libc.malloc(num_bytes))
    start += -start % _LARGE_PAGE
    length = libc.sbrk(0) - start
    if length > 0:  # otherwise there was no room, or the block is not part of the heap
        libc.madvise(start, length, _MADV_HUGEPAGE)

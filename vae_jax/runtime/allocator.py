"""The process's memory allocator, told to keep what it has, in large pages."""

import ctypes

from vae_jax.runtime.memory import measure_memory_bytes

# Names and numbers of <malloc.h> and <sys/mman.h>.
_M_TRIM_THRESHOLD = -1
_M_MMAP_MAX = -4
_M_ARENA_MAX = -8
_MADV_HUGEPAGE = 14

# Heap in large pages: what a training step of the shipped configs takes, but for the largest images.
_MOST_BYTES = 3 * 2**29
_LARGE_PAGE = 2**21  # bytes, where a page has 4 KiB; elsewhere the advice starts a little late


def keep_memory() -> None:
    """Tells glibc to keep freed memory for the next step; does nothing with another C library.

    A training step on the CPU takes and frees temporaries of many megabytes. By default glibc gives each
    back to the system and takes it anew, and every page of it faults again: keeping them saves 7 to 11 %
    of a step's processor time on the Kvasir model, and large pages, where Linux leaves them to the
    program, another 2 to 8 %.
    """
    try:
        libc = ctypes.CDLL(None)
        mallopt = libc.mallopt
    except (AttributeError, OSError, TypeError):
        return
    mallopt(_M_MMAP_MAX, 0)
    mallopt(_M_TRIM_THRESHOLD, -1)  # never
    mallopt(_M_ARENA_MAX, 1)
    if not _is_limited():
        _use_large_pages(libc, min(_MOST_BYTES, measure_memory_bytes() // 8))


def _is_limited() -> bool:
    """Whether the process may only have so many addresses, which are then too dear to take ahead."""
    import resource  # of Unix, as glibc is

    limits = (resource.RLIMIT_AS, resource.RLIMIT_DATA)
    return any(resource.getrlimit(which)[0] != resource.RLIM_INFINITY for which in limits)


def _use_large_pages(libc: ctypes.CDLL, num_bytes: int) -> None:
    """Lengthens the heap at once, because the system's advice holds for addresses that exist.

    No memory is taken until it is written to.
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
    if length > 0:  # else there was no room, or it did not come from the heap
        libc.madvise(start, length, _MADV_HUGEPAGE)

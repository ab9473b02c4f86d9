"""The heap of a process that keeps its memory."""

import pathlib
import platform
import subprocess
import sys

import pytest

pytestmark = pytest.mark.skipif(
    platform.libc_ver()[0] != "glibc", reason="only glibc is configured"
)

# Prints the flags of every part of the heap, one line per part.
_SHOW_FLAGS = """
import pathlib, resource
from vae_jax.runtime.allocator import keep_memory
if {limit}:
    resource.setrlimit(resource.RLIMIT_AS, (2**40, 2**40))
keep_memory()
keep_memory()
heap = False
for line in pathlib.Path("/proc/self/smaps").read_text().splitlines():
    if line[0] in "0123456789abcdef":
        heap = line.endswith("[heap]")
    elif heap and line.startswith("VmFlags:"):
        print(line)
"""

# Prints whether the heap is as long after a large block is freed as before.
_FREE = """
import ctypes
from vae_jax.runtime.allocator import keep_memory
keep_memory()
libc = ctypes.CDLL(None)
libc.sbrk.restype = libc.malloc.restype = ctypes.c_void_p
libc.malloc.argtypes, libc.free.argtypes = [ctypes.c_size_t], [ctypes.c_void_p]
block = libc.malloc(3 * 2**30)
end = libc.sbrk(0)
libc.free(block)
print("no room" if block is None else libc.sbrk(0) == end)
"""


def _run(program: str) -> str:
    return subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    ).stdout


def _requests_large_pages(limit: bool) -> bool:
    output = _run(_SHOW_FLAGS.format(limit=limit))
    return any("hg" in line.split() for line in output.splitlines())


@pytest.mark.skipif(
    not pathlib.Path("/sys/kernel/mm/transparent_hugepage").exists(),
    reason="this system has no large pages",
)
def test_the_heap_requests_large_pages():
    assert _requests_large_pages(limit=False)


def test_a_process_with_a_limited_address_space_reserves_none():
    assert not _requests_large_pages(limit=True)


def test_freed_memory_is_kept():
    output = _run(_FREE).strip()
    if output == "no room":
        pytest.skip("a block of 3 GiB cannot be allocated")
    assert output == "True"

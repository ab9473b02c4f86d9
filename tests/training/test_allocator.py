"""The heap of a process that was told to keep its memory."""

import pathlib
import platform
import subprocess
import sys

import pytest

# Prints the flags of every stretch of the heap, one line a stretch.
_SHOW = """
import pathlib
from vae_jax.training.allocator import keep_memory

keep_memory()
heap = False
for line in pathlib.Path("/proc/self/smaps").read_text().splitlines():
    if line[0] in "0123456789abcdef":
        heap = line.endswith("[heap]")
    elif heap and line.startswith("VmFlags:"):
        print(line)
"""


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="tells glibc alone")
@pytest.mark.skipif(
    not pathlib.Path("/sys/kernel/mm/transparent_hugepage").exists(), reason="no large pages here"
)
def test_the_heap_asks_for_large_pages():
    shown = subprocess.run(
        [sys.executable, "-c", _SHOW], capture_output=True, text=True, check=True
    )
    assert any("hg" in line.split() for line in shown.stdout.splitlines())

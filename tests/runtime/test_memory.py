import os

import numpy as np
import pytest

from vae_jax.runtime import memory


@pytest.mark.parametrize("limit", ["max\n", "", None])
def test_without_a_limit_of_the_container_the_memory_is_that_of_the_machine(
    tmp_path, monkeypatch, limit
):
    path = tmp_path / "memory.max"
    if limit is not None:
        path.write_text(limit)
    monkeypatch.setattr(memory, "_CONTAINER_LIMIT", path)
    of_machine = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    assert memory.measure_memory_bytes() == of_machine


def test_the_smaller_of_container_and_machine_counts(tmp_path, monkeypatch):
    path = tmp_path / "memory.max"
    monkeypatch.setattr(memory, "_CONTAINER_LIMIT", path)
    path.write_text("4096")
    assert memory.measure_memory_bytes() == 4096
    path.write_text(str(2**62))
    assert memory.measure_memory_bytes() < 2**62


def test_the_peak_counts_memory_that_has_been_freed():
    block = np.ones(2**26, np.uint8)  # 64 MiB
    del block
    assert memory.measure_peak_memory_bytes() > 2**26

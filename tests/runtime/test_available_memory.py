import resource

import pytest

from vae_jax.errors import UserError
from vae_jax.runtime import available_memory

GIB = 2**30


@pytest.fixture
def machine(tmp_path, monkeypatch):
    """Function that writes the files of a machine without limits: name below the root -> text."""
    for name, folder in (("_PROC", "proc"), ("_CONTROL_GROUPS", "groups"), ("_DEVICES", "dev")):
        monkeypatch.setattr(available_memory, name, tmp_path / folder)
    monkeypatch.setattr(resource, "getrlimit", lambda kind: (resource.RLIM_INFINITY,) * 2)
    monkeypatch.delenv("JAX_PLATFORMS", raising=False)

    def write(files):
        for name, text in files.items():
            path = tmp_path / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)

    write({"proc/meminfo": "MemTotal: 9437184 kB\nMemAvailable: 8388608 kB\nSwapFree: 0 kB\n"})
    return write


def test_without_limits_the_free_memory_and_the_free_swap_space_of_the_machine_count(machine):
    assert available_memory.measure_available_bytes() == 8 * GIB
    machine({"proc/meminfo": "MemAvailable: 1048576 kB\nSwapFree: 2097152 kB\n"})
    assert available_memory.measure_available_bytes() == 3 * GIB


@pytest.mark.parametrize(
    ("groups", "folder", "names"),
    [
        ("0::/\n", "", ("memory.max", "memory.current", "inactive_file", "active_file")),
        ("0::/a/b\n", "a/b/", ("memory.max", "memory.current", "inactive_file", "active_file")),
        ("0::/a/b\n", "a/", ("memory.max", "memory.current", "inactive_file", "active_file")),
        (
            "7:cpu:/\n4:memory:/c\n",
            "memory/",
            (
                "memory.limit_in_bytes",
                "memory.usage_in_bytes",
                "total_inactive_file",
                "total_active_file",
            ),
        ),
    ],
)
def test_a_control_group_leaves_its_limit_without_what_cannot_be_freed(
    machine, groups, folder, names
):
    limit, usage, *caches = names
    machine(
        {
            "proc/self/cgroup": groups,
            f"groups/{folder}{limit}": f"{4 * GIB}\n",
            f"groups/{folder}{usage}": f"{3 * GIB}\n",
            f"groups/{folder}memory.stat": f"{caches[0]} {GIB // 2}\n{caches[1]} {GIB // 4}\n",
        }
    )
    assert available_memory.measure_available_bytes() == 1.75 * GIB


def test_a_group_without_a_limit_and_damaged_files_do_not_count(machine):
    machine(
        {
            "proc/self/cgroup": "0::/\n1:cpu:/x\n",
            "groups/memory.max": "max\n",
            "groups/memory.current": "17\n",
            "groups/memory.stat": "inactive_file\n\nx y\n",
        }
    )
    assert available_memory.measure_available_bytes() == 8 * GIB


def test_a_limit_of_the_address_space_counts(machine, monkeypatch):
    monkeypatch.setattr(resource, "getrlimit", lambda kind: (GIB, resource.RLIM_INFINITY))
    assert available_memory.measure_available_bytes() == GIB


@pytest.mark.parametrize(
    ("count", "text"),
    [
        (0, "0 bytes"),
        (1023, "1023 bytes"),
        (1536, "1.5 KiB"),
        (5 * GIB, "5.0 GiB"),
        (2**60 - 1, "1024.0 PiB"),
        (999 * 2**60, "999.0 EiB"),
        (2**75, "1,000 EiB"),
        (10**400, "1,000 EiB"),
    ],
)
def test_bytes_are_written_in_the_unit_that_makes_them_short(count, text):
    assert available_memory.format_bytes(count) == text


def test_a_refusal_has_both_numbers():
    available_memory.check_fits("an array", 5, 5, "lower it")
    with pytest.raises(
        UserError, match=r"an array needs at least 6 bytes of memory, but 5 bytes are .*; lower it"
    ):
        available_memory.check_fits("an array", 6, 5, "lower it")


@pytest.mark.parametrize(
    ("file", "platforms", "expected"),
    [
        ("null", "", False),
        ("nvidia0", "", True),
        ("nvidiactl", "", False),
        ("nvidia0", "cpu", False),
        ("nvidia0", "cuda,cpu", True),
        ("vfio/0", "", True),
    ],
)
def test_an_accelerator_is_known_by_the_files_of_its_driver(
    machine, monkeypatch, file, platforms, expected
):
    machine({f"dev/{file}": ""})
    monkeypatch.setenv("JAX_PLATFORMS", platforms)
    assert available_memory.has_accelerator() is expected

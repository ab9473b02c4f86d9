import pytest

from vae_jax.errors import UserError
from vae_jax.runtime.cluster import TO_BE_FOUND, Cluster


def test_without_flags_there_is_no_cluster():
    assert Cluster.from_flags(None, None, None) is None


def test_three_flags_make_a_cluster():
    assert Cluster.from_flags("[::1]:80", 3, 2) == Cluster("[::1]:80", 3, 2)


def test_jax_is_asked_only_if_no_other_flag_is_set():
    assert Cluster.from_flags(None, None, None, True) == TO_BE_FOUND


def test_the_gpus_of_this_process_may_be_named(monkeypatch):
    monkeypatch.setenv("JAX_LOCAL_DEVICE_IDS", "1,3")
    assert Cluster.from_flags("here:80", 2, 0).local_devices == (1, 3)


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (
            ("here:1", 2, None, True),
            "leave out --coordinator and --num_processes, or --distributed",
        ),
        (("here:1", None, None), "--num_processes and --process_id are missing; set all of"),
        ((None, 2, 0), "--coordinator is missing"),
        (("here", 2, 0), "--coordinator=here is not HOST:PORT"),
        ((":80", 2, 0), "is not HOST:PORT"),
        (("here:65536", 2, 0), "a port from 1 to 65535"),
        (("here:80", 0, 0), "--num_processes=0 must be at least 1"),
        (("here:80", 2, 2), "--process_id=2 must be from 0 to 1"),
        (("here:80", 2, -1), "--process_id=-1 must be from 0 to 1"),
    ],
)
def test_a_missing_or_wrong_flag_is_named(flags, message):
    with pytest.raises(UserError, match=message):
        Cluster.from_flags(*flags)

"""Partners in threads of one process, which need no devices."""

import concurrent.futures
import socket

import jax
import pytest

from vae_jax.errors import UserError
from vae_jax.runtime import partners as partners_lib
from vae_jax.runtime import processes
from vae_jax.runtime.cluster import Cluster
from vae_jax.runtime.rendezvous import join


def find_free_port():
    with socket.socket() as reserved:
        reserved.bind(("", 0))
        return reserved.getsockname()[1]


@pytest.fixture
def all_partners():
    """Receives partners, which are closed at the end."""
    joined = []
    yield joined
    for partners in joined:
        partners.close()


@pytest.fixture
def pool(monkeypatch):
    monkeypatch.setattr(partners_lib, "exit_now", lambda status: None)
    monkeypatch.setattr(partners_lib, "_UNWIND_SECONDS", 0.1)
    with concurrent.futures.ThreadPoolExecutor(4) as pool:
        yield pool


def join_all(pool, all_partners, num_processes):
    address = f"localhost:{find_free_port()}"
    joined = [
        pool.submit(join, Cluster(address, num_processes, i), 10.0) for i in range(num_processes)
    ]
    all_partners += [future.result() for future in joined]
    return all_partners


def test_all_processes_get_the_values_of_all(pool, all_partners):
    partners = join_all(pool, all_partners, 3)
    for values in ([1, 2, 3], ["a", None, {"b": 1}]):
        futures = [pool.submit(p.exchange, v) for p, v in zip(partners, values, strict=True)]
        assert [future.result() for future in futures] == [values] * 3
    for future in [pool.submit(p.finish) for p in partners]:
        future.result()
    assert [p.loss for p in partners] == ["", "", ""]


def test_all_others_learn_who_has_ended(pool, all_partners):
    partners = join_all(pool, all_partners, 3)
    partners[2]._channels[0].close()
    for other in partners[:2]:
        assert other.wait_for_loss(10.0)
        with pytest.raises(UserError, match=r"process 2 of 3 .* has ended"):
            other.exchange()


def test_a_silent_process_is_lost(pool, all_partners, monkeypatch):
    monkeypatch.setattr(partners_lib, "_SILENCE_SECONDS", 0.5)
    monkeypatch.setattr(partners_lib.Partners, "_beat", lambda self: None)
    first, _ = join_all(pool, all_partners, 2)
    assert first.wait_for_loss(10.0)
    assert "has not answered for 0.5 s" in first.loss


def test_a_process_that_does_not_come_is_named_to_all(pool):
    address = f"localhost:{find_free_port()}"
    futures = [pool.submit(join, Cluster(address, 4, i), 2.0) for i in (0, 2)]
    for future in futures:
        with pytest.raises(UserError, match="processes 1, 3 of 4 did not come within"):
            future.result()


def test_a_gpu_that_the_process_does_not_see_is_refused_in_one_line(monkeypatch):
    monkeypatch.setattr(processes, "_LOSS_SECONDS", 0.0)
    monkeypatch.setattr(processes.atexit, "register", lambda *_: None)
    monkeypatch.setattr(jax.config, "update", lambda *_: None)
    cluster = Cluster(f"localhost:{find_free_port()}", 1, 0, local_devices=(3,))
    with (
        pytest.raises(UserError, match="uses GPU 3 of those that it sees") as error,
        processes.watch_partners(cluster) as partners,
    ):
        raise RuntimeError("Unable to initialize backend 'cuda': no\nsuch device")
    partners.close()
    assert "\n" not in str(error.value)

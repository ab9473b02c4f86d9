import dataclasses
import json
import os
import pathlib
import signal
import subprocess
import sys
import threading
import time

import pytest

from vae_jax.runtime import lock as lock_lib
from vae_jax.runtime.lock import LockedError, Owner, hold_lock

ROOT = pathlib.Path(__file__).parents[2]
HOLD = """
import pathlib, sys, time
from vae_jax.runtime.lock import hold_lock
with hold_lock(pathlib.Path(sys.argv[1])):
    print("held", flush=True)
    time.sleep(60)
"""


@pytest.fixture
def path(tmp_path):
    return tmp_path / "run.lock"


def start_holder(path):
    process = subprocess.Popen(
        [sys.executable, "-c", HOLD, str(path)], cwd=ROOT, stdout=subprocess.PIPE, text=True
    )
    assert process.stdout.readline() == "held\n"
    return process


def write_lock(path, silent_seconds=0.0, **fields):
    """Leaves the lock of an owner on another machine, or one that differs in some fields."""
    owner = dataclasses.replace(Owner.of_this_process(), host="far", place="far", **fields)
    part = path.with_suffix(".part")
    part.write_text(json.dumps(dataclasses.asdict(owner)))
    os.utime(part, (time.time() - silent_seconds,) * 2)
    part.replace(path)  # at once: a heartbeat must not read half of it


def test_a_lock_has_one_owner_and_leaves_no_file(path):
    with hold_lock(path):
        with (
            pytest.raises(LockedError, match=rf"process {os.getpid()} on \S+ since 20"),
            hold_lock(path),
        ):
            pass
        assert path.exists()
    assert list(path.parent.iterdir()) == []


def test_a_lock_is_released_after_an_error(path):
    with pytest.raises(KeyError), hold_lock(path):
        raise KeyError
    with hold_lock(path):
        pass


@pytest.mark.slow
def test_a_killed_owner_does_not_leave_its_lock_behind_but_a_stopped_one_keeps_it(path):
    process = start_holder(path)
    try:
        process.send_signal(signal.SIGSTOP)
        os.utime(path, (0, 0))
        with pytest.raises(LockedError, match=f"process {process.pid} on"), hold_lock(path):
            pass
    finally:
        process.kill()  # it is not waited for, so it stays as a zombie
    deadline = time.monotonic() + 10
    while lock_lib._read_start(process.pid) is not None and time.monotonic() < deadline:
        time.sleep(0.01)
    with hold_lock(path):
        assert json.loads(path.read_text())["pid"] == os.getpid()
    process.communicate()


def test_an_owner_on_another_machine_is_alive_while_it_touches_its_lock(path):
    write_lock(path, silent_seconds=30)
    with pytest.raises(LockedError, match="on far since"), hold_lock(path):
        pass
    write_lock(path, silent_seconds=90)
    with hold_lock(path):
        pass
    assert list(path.parent.iterdir()) == []


def test_a_process_with_the_number_of_a_dead_owner_is_not_the_owner(path):
    owner = dataclasses.replace(Owner.of_this_process(), start="1")
    path.write_text(json.dumps(dataclasses.asdict(owner)))
    with hold_lock(path):
        pass


@pytest.mark.parametrize("content", ["{", "[]", '{"pid": 1}', "\0" * 50])
def test_a_damaged_lock_is_that_of_an_unknown_owner(path, content):
    path.write_text(content)
    with pytest.raises(LockedError, match="an unknown process"), hold_lock(path):
        pass
    os.utime(path, (0, 0))
    with hold_lock(path):
        pass


def test_an_empty_lock_has_no_owner(path):
    path.touch()
    with hold_lock(path):
        pass


def test_a_waiting_process_takes_over_when_the_owner_has_finished(path, monkeypatch):
    monkeypatch.setattr(lock_lib, "_POLL_SECONDS", 0.01)
    inside, ends, order, owners = threading.Event(), threading.Event(), [], []

    def hold():
        with hold_lock(path):
            inside.set()
            ends.wait(10)
            order.append("first")

    thread = threading.Thread(target=hold)
    thread.start()
    inside.wait(10)

    def on_wait(owner):
        owners.append(owner)
        ends.set()

    with hold_lock(path, wait=True, on_wait=on_wait):
        order.append("second")
    thread.join()
    assert order == ["first", "second"]
    assert len(owners) == 1


def test_of_many_that_take_over_a_dead_owner_only_one_holds_the_lock_at_a_time(path, monkeypatch):
    monkeypatch.setattr(lock_lib, "_POLL_SECONDS", 0.001)
    write_lock(path, silent_seconds=90)
    inside, most = [], []

    def work():
        with hold_lock(path, wait=True):
            inside.append(1)
            time.sleep(0.002)
            most.append(len(inside))
            inside.pop()

    threads = [threading.Thread(target=work) for _ in range(12)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert most == [1] * 12
    assert list(path.parent.iterdir()) == []


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
def test_the_owner_touches_its_lock_and_ends_if_it_has_lost_it(path, monkeypatch, capsys):
    monkeypatch.setattr(lock_lib, "_HEARTBEAT_SECONDS", 0.01)
    ended = threading.Event()

    def end(status):
        assert status == 2
        ended.set()
        raise SystemExit  # ends the thread

    monkeypatch.setattr(os, "_exit", end)
    with hold_lock(path):
        os.utime(path, (0, 0))
        deadline = time.monotonic() + 10
        while path.stat().st_mtime == 0 and time.monotonic() < deadline:
            time.sleep(0.01)
        assert path.stat().st_mtime > 0
        write_lock(path)
        assert ended.wait(10)
    assert json.loads(path.read_text())["host"] == "far"
    assert "is now of another process" in capsys.readouterr().err

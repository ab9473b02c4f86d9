"""A lock on a folder that its owner does not leave behind when it dies, also on a shared file system.

The lock is a small file with the owner's host, process and start. A thread of the owner touches the file
every few seconds. On the owner's own machine an owner is alive if its process is. On another machine it is
alive if the file was touched within the last minute, by the clock of the file system. The file is read
and changed under `flock`, so that two processes cannot take over the lock of a dead owner at the same time.
"""

import contextlib
import dataclasses
import json
import os
import pathlib
import socket
import sys
import threading
import time
import uuid
from collections.abc import Callable, Iterator

from vae_jax.errors import UserError

try:
    import fcntl
except ImportError:  # Windows
    fcntl = None

_HEARTBEAT_SECONDS = 10.0  # how often the owner touches the file
_SILENCE_SECONDS = 60.0  # after this time without a touch, an owner on another machine is dead
_POLL_SECONDS = 0.5  # how often a waiting process looks


class LockedError(UserError):
    """Another process holds the lock; the message is a description of it, without a full stop."""


@dataclasses.dataclass(frozen=True)
class Owner:
    """A process that holds a lock.

    Attributes:
        host: name of its machine.
        place: what process numbers refer to: the machine since its last start, and the container.
        pid: number of the process.
        start: when the process started, in a unit of the system; "" if it is unknown.
        since: when the process took the lock, as text.
        token: a random text, different for each lock.
    """

    host: str
    place: str
    pid: int
    start: str
    since: str
    token: str

    @classmethod
    def of_this_process(cls) -> "Owner":
        """Returns the present process as an owner."""
        return cls(
            host=socket.gethostname(),
            place=_describe_place(),
            pid=os.getpid(),
            start=_read_start(os.getpid()) or "",
            since=time.strftime("%Y-%m-%d %H:%M:%S %z"),
            token=uuid.uuid4().hex,
        )

    def describe(self) -> str:
        """Returns the owner in words."""
        return f"process {self.pid} on {self.host} since {self.since}"


@contextlib.contextmanager
def hold_lock(
    path: pathlib.Path, wait: bool = False, on_wait: Callable[[str], object] = lambda owner: None
) -> Iterator[None]:
    """Holds a lock for the duration of a `with` block.

    If another process takes the lock meanwhile, because this one was suspended for longer than a minute,
    this process ends at once with status 2: it must not write to what now belongs to another one.

    Args:
        path: file of the lock; its folder must exist.
        wait: whether to wait until a living owner has finished; otherwise it is an error.
        on_wait: called once, with a description of the owner, before the waiting begins.

    Raises:
        LockedError: if another living process holds the lock, and `wait` is false.
        OSError: if the file cannot be written.
    """
    owner = Owner.of_this_process()
    is_waiting = False
    while (other := _try_to_take(path, owner)) is not None:
        if not wait:
            raise LockedError(other)
        if not is_waiting:
            on_wait(other)
        is_waiting = True
        time.sleep(_POLL_SECONDS)
    released = threading.Event()
    thread = threading.Thread(target=_keep_alive, args=(path, owner, released), daemon=True)
    thread.start()
    try:
        yield
    finally:
        released.set()
        thread.join()
        _release(path, owner)


def _try_to_take(path: pathlib.Path, owner: Owner) -> str | None:
    """Takes the lock; returns a description of the living owner if there is one."""
    with _open_exclusively(path, create=True) as file:
        content = os.pread(file, 2**16, 0)
        if content and (other := _find_living_owner(path, content)):
            return other
        os.ftruncate(file, 0)
        os.pwrite(file, json.dumps(dataclasses.asdict(owner)).encode(), 0)
        os.fsync(file)
    return None


def _find_living_owner(path: pathlib.Path, content: bytes) -> str | None:
    """Returns a description of the owner that a lock names; None if this owner is dead."""
    try:
        other = Owner(**json.loads(content))
    except (TypeError, ValueError):
        other = None  # cut off, for example because the disk was full
    if other and other.place == _describe_place():
        start = _read_start(other.pid)
        return other.describe() if start is not None and start == other.start else None
    if _measure_silence(path) > _SILENCE_SECONDS:
        return None
    return other.describe() if other else f"an unknown process (its lock {path} is damaged)"


@contextlib.contextmanager
def _open_exclusively(path: pathlib.Path, create: bool) -> Iterator[int]:
    """Opens a file that no other process reads or changes at the same time."""
    while True:
        file = os.open(path, os.O_RDWR | os.O_CREAT * create, 0o644)
        try:
            if fcntl:
                with contextlib.suppress(OSError):  # a file system without this
                    fcntl.flock(file, fcntl.LOCK_EX)
            # The last owner may have deleted the file before this process had it for itself.
            if not _is_same_file(file, path):
                continue
            yield file
            return
        finally:
            os.close(file)


def _is_same_file(file: int, path: pathlib.Path) -> bool:
    try:
        return os.path.samestat(os.fstat(file), path.stat())
    except FileNotFoundError:
        return False


def _measure_silence(path: pathlib.Path) -> float:
    """Returns the seconds since a file was last touched, by the clock of its file system."""
    probe = path.with_name(f"{path.name}.{uuid.uuid4().hex}")
    try:
        probe.touch()
        return probe.stat().st_mtime - path.stat().st_mtime
    finally:
        probe.unlink(missing_ok=True)


def _keep_alive(path: pathlib.Path, owner: Owner, released: threading.Event) -> None:
    while not released.wait(_HEARTBEAT_SECONDS):
        try:
            if json.loads(path.read_bytes())["token"] == owner.token:
                os.utime(path)
                continue
            other = f"{path} is now of another process"
        except OSError:
            continue  # the file system does not answer; the next heartbeat may succeed
        except (KeyError, TypeError, ValueError):
            other = f"{path} has changed"
        if released.is_set():
            return
        print(f"error: {other}, because this one was suspended; it ends", file=sys.stderr)
        sys.stderr.flush()
        os._exit(2)


def _release(path: pathlib.Path, owner: Owner) -> None:
    with contextlib.suppress(OSError, ValueError), _open_exclusively(path, create=False) as file:
        if json.loads(os.pread(file, 2**16, 0))["token"] == owner.token:
            path.unlink()


def _describe_place() -> str:
    """Returns what the number of a process refers to: the running system, and its container if any."""
    try:
        boot = pathlib.Path("/proc/sys/kernel/random/boot_id").read_text("ascii").strip()
        return f"{socket.gethostname()} {boot} {os.readlink('/proc/self/ns/pid')}"
    except OSError:  # not Linux
        return socket.gethostname()


def _read_start(pid: int) -> str | None:
    """Returns when a process started, "" if this is unknown; None if there is no such process."""
    stat = pathlib.Path(f"/proc/{pid}/stat")
    try:
        # The name of the program, in parentheses, may contain spaces.
        fields = stat.read_text("utf-8", errors="replace").rpartition(")")[2].split()
        return None if fields[0] in "ZX" else fields[19]
    except OSError:
        if pathlib.Path("/proc/self/stat").exists():
            return None
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return None
    except PermissionError:
        pass
    return ""

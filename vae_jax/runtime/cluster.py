"""Which of several processes this one is, according to the command line. It does not import JAX."""

import dataclasses
import os

from vae_jax.errors import UserError

_FLAGS = ("--coordinator", "--num_processes", "--process_id")


@dataclasses.dataclass(frozen=True)
class Cluster:
    """This process, and the number of processes that train and score together.

    Attributes:
        coordinator: "host:port", the address of process 0 for all processes.
        num_processes: number of all processes, including this one.
        process_id: index of this process, from 0.
        local_devices: indices of the GPUs that this process uses among those of its machine; None for all.
        is_detected: whether `--distributed` found the other values, which no flags name then.
    """

    coordinator: str
    num_processes: int
    process_id: int
    local_devices: tuple[int, ...] | None = None
    is_detected: bool = False

    @property
    def origin(self) -> str:
        """The flag that the values come from and the address, for messages."""
        if self.is_detected:
            return f"--distributed (coordinator {self.coordinator})"
        return f"--coordinator={self.coordinator}"

    @classmethod
    def from_flags(
        cls,
        coordinator: str | None,
        num_processes: int | None,
        process_id: int | None,
        distributed: bool = False,
    ) -> "Cluster | None":
        """Returns the cluster that the flags describe, or None if none of them is set.

        Args:
            coordinator: value of `--coordinator`; None if it is not set.
            num_processes: value of `--num_processes`; None if it is not set.
            process_id: value of `--process_id`; None if it is not set.
            distributed: whether `--distributed` is set. Then the result is `TO_BE_FOUND`.

        Raises:
            UserError: if a flag is missing or wrong. The message names it.
        """
        values = (coordinator, num_processes, process_id)
        missing = [name for name, value in zip(_FLAGS, values, strict=True) if value is None]
        if distributed:
            if len(missing) < len(_FLAGS):
                given = " and ".join(name for name in _FLAGS if name not in missing)
                raise UserError(
                    f"--distributed finds address and numbers by itself; leave out {given}, or "
                    "--distributed"
                )
            return TO_BE_FOUND
        if len(missing) == len(_FLAGS):
            return None
        if missing:
            verb = "is" if len(missing) == 1 else "are"
            raise UserError(
                f"{' and '.join(missing)} {verb} missing; set all of {', '.join(_FLAGS)}, or only "
                "--distributed, or none of them"
            )
        check_address(coordinator, f"--coordinator={coordinator}")
        if num_processes < 1:
            raise UserError(f"--num_processes={num_processes} must be at least 1")
        if not 0 <= process_id < num_processes:
            raise UserError(
                f"--process_id={process_id} must be from 0 to {num_processes - 1}; give each of the "
                f"{num_processes} processes its own number"
            )
        return cls(coordinator, num_processes, process_id, read_local_devices())


# Stands for the cluster that `cluster_detection.find_cluster` finds, until JAX may be imported.
TO_BE_FOUND = Cluster("", 1, 0, is_detected=True)


def check_address(address: str, origin: str) -> None:
    """Raises UserError, which begins with the origin of the address, if it is not HOST:PORT."""
    host, _, port = address.rpartition(":")
    if not host or not port.isdecimal() or not 1 <= int(port) <= 65535:
        raise UserError(
            f"{origin} is not HOST:PORT with a port from 1 to 65535; name the machine of process 0 and a "
            "free port of that machine"
        )


def read_local_devices() -> tuple[int, ...] | None:
    """Returns the GPUs that the environment variable JAX_LOCAL_DEVICE_IDS names; None if it is not set.

    Raises:
        UserError: if it holds anything else than whole numbers.
    """
    text = os.environ.get("JAX_LOCAL_DEVICE_IDS", "")
    if not text:
        return None
    try:
        return tuple(int(number) for number in text.split(","))
    except ValueError:
        raise UserError(
            f"JAX_LOCAL_DEVICE_IDS={text} must be numbers of GPUs with commas between them, for example 0,1"
        ) from None

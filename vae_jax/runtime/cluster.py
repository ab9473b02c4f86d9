"""Which of several processes this one is, according to the command line. It does not import JAX."""

import dataclasses

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
    """

    coordinator: str
    num_processes: int
    process_id: int
    local_devices: tuple[int, ...] | None = None

    @classmethod
    def from_flags(
        cls, coordinator: str | None, num_processes: int | None, process_id: int | None
    ) -> "Cluster | None":
        """Returns the cluster that the three flags describe, or None if none of them is set.

        Raises:
            UserError: if a flag is missing or wrong. The message names it.
        """
        values = (coordinator, num_processes, process_id)
        missing = [name for name, value in zip(_FLAGS, values, strict=True) if value is None]
        if len(missing) == len(_FLAGS):
            return None
        if missing:
            verb = "is" if len(missing) == 1 else "are"
            raise UserError(
                f"{' and '.join(missing)} {verb} missing; set all of {', '.join(_FLAGS)}, or none of them"
            )
        host, _, port = coordinator.rpartition(":")
        if not host or not port.isdecimal() or not 1 <= int(port) <= 65535:
            raise UserError(
                f"--coordinator={coordinator} is not HOST:PORT with a port from 1 to 65535; name the "
                "machine of process 0 and a free port of that machine"
            )
        if num_processes < 1:
            raise UserError(f"--num_processes={num_processes} must be at least 1")
        if not 0 <= process_id < num_processes:
            raise UserError(
                f"--process_id={process_id} must be from 0 to {num_processes - 1}; give each of the "
                f"{num_processes} processes its own number"
            )
        return cls(coordinator, num_processes, process_id)

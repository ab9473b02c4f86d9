"""Which of several processes this one is, as the command line says; no JAX in sight."""

import dataclasses

from vae_jax.errors import UserError

_FLAGS = ("--coordinator", "--num_processes", "--process_id")


@dataclasses.dataclass(frozen=True)
class Cluster:
    """Processes that train and score together.

    Attributes:
        coordinator: "host:port" at which process 0 can be reached by all of them.
        num_processes: how many there are.
        process_id: of this one, from 0.
    """

    coordinator: str
    num_processes: int
    process_id: int

    @classmethod
    def from_flags(
        cls, coordinator: str | None, num_processes: int | None, process_id: int | None
    ) -> "Cluster | None":
        """Checks what the three flags say; None where none of them is given.

        Raises:
            UserError: names the flag that is missing or wrong.
        """
        given = (coordinator, num_processes, process_id)
        missing = [name for name, value in zip(_FLAGS, given, strict=True) if value is None]
        if len(missing) == len(_FLAGS):
            return None
        if missing:
            raise UserError(
                f"{' and '.join(missing)} is missing: give all of {', '.join(_FLAGS)}, or none"
            )
        host, _, port = coordinator.rpartition(":")
        if not host or not port.isdecimal() or not 1 <= int(port) <= 65535:
            raise UserError(
                f"--coordinator={coordinator} is not HOST:PORT with a port from 1 to 65535; name the "
                "machine of process 0 and a port that is free there"
            )
        if num_processes < 1:
            raise UserError(f"--num_processes={num_processes} must be at least 1")
        if not 0 <= process_id < num_processes:
            raise UserError(
                f"--process_id={process_id} must be from 0 to {num_processes - 1}, another one for each of "
                f"the {num_processes} processes"
            )
        return cls(coordinator, num_processes, process_id)

"""How many steps one call makes, so that training stops soon after a signal."""

from vae_jax.runtime import processes

_MAX_CALL_SECONDS = 4.0  # longest call; a checkpoint shall be saved ten seconds after a signal


class Pace:
    """How many steps a call may have, so that training stops soon after a signal.

    Several processes must make the same calls, so there the number is not limited.
    """

    def __init__(self):
        self._step_seconds: float | None = None
        self._num_calls = 0

    def limit_steps(self, num_steps: int) -> int:
        """Returns the number of steps of the next call, of so many that are left."""
        if processes.are_several():
            return num_steps
        if self._step_seconds is None:
            return 1
        return min(num_steps, max(1, int(_MAX_CALL_SECONDS / self._step_seconds)))

    def record(self, num_steps: int, seconds: float) -> None:
        """Records how long a call took; the first one includes compilation and does not count."""
        self._num_calls += 1
        if self._num_calls > 1:
            self._step_seconds = seconds / num_steps

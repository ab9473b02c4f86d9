"""The roofline of a training step: the speed limit that arithmetic and memory set on this device.

XLA counts the operations and bytes of the compiled step. The peak rates are measured: that of operations
with a matrix product in the precision of the step, and that of bytes with a copy of a large array.
"""

import dataclasses
import time

import models

_SIDE = 4096  # rows and columns of the matrices
_COPIED = 2**26  # float32 numbers in the copied array
_TRIES = 5  # timed calls of each operation


@dataclasses.dataclass(frozen=True)
class Roof:
    """What limits the speed of a training step.

    Attributes:
        flops: number of operations of a step.
        bytes: number of bytes that a step reads and writes.
        peak_flops: operations per second of a large matrix product.
        peak_bytes: bytes per second that a large copy reads and writes.
    """

    flops: float
    bytes: float
    peak_flops: float
    peak_bytes: float

    @property
    def seconds(self) -> float:
        """Lower limit of the seconds of a step."""
        return max(self._limits.values())

    @property
    def binding(self) -> str:
        """The limit that applies: "arithmetic" or "memory"."""
        return max(self._limits, key=self._limits.get)

    @property
    def _limits(self) -> dict[str, float]:
        return {
            "arithmetic": self.flops / self.peak_flops,
            "memory": self.bytes / self.peak_bytes,
        }


def measure_roof(model: str, batch: int, precision: str) -> Roof:
    """Returns the roof of one training step; it must run in a new process."""
    import jax
    import jax.numpy as jnp

    from vae_jax.training.step import make_train_step

    models.set_up_process(precision)
    config = models.make_comparable_config(model, precision)
    recipe, state, hyperparameters = models.make_our_training(config, steps_per_epoch=100)
    images = models.make_our_batch(config, batch)
    cost = (
        jax.jit(make_train_step(recipe))
        .lower(state, images, hyperparameters)
        .compile()
        .cost_analysis()
    )
    square = jnp.ones((_SIDE, _SIDE), precision)
    numbers = jnp.ones(_COPIED)
    multiply = jax.jit(lambda a: jnp.dot(a, a, preferred_element_type=jnp.float32))
    return Roof(
        flops=cost["flops"],
        bytes=cost["bytes accessed"],
        peak_flops=2 * _SIDE**3 / _measure_fastest(multiply, square),
        peak_bytes=2 * numbers.nbytes / _measure_fastest(jax.jit(jnp.negative), numbers),
    )


def _measure_fastest(function, array) -> float:
    """Returns the seconds of the fastest of a few calls, without compilation."""
    function(array).block_until_ready()
    seconds = []
    for _ in range(_TRIES):
        start = time.perf_counter()
        function(array).block_until_ready()
        seconds.append(time.perf_counter() - start)
    return min(seconds)

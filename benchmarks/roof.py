"""The roof of a training step: what its arithmetic and its memory traffic allow on this device.

The step's operations and bytes are XLA's own count of the compiled program; the peaks are measured, on a
product of matrices in the precision of the step, and on a copy.
"""

import dataclasses
import time

import models

_SIDE = 4096  # of the matrices
_COPIED = 2**26  # float32 numbers
_TRIES = 5


@dataclasses.dataclass(frozen=True)
class Roof:
    """Attributes:
    flops: operations of a step.
    bytes: that a step reads and writes.
    peak_flops: operations a second of a large product.
    peak_bytes: bytes a second, read and written, of a large copy.
    """

    flops: float
    bytes: float
    peak_flops: float
    peak_bytes: float

    @property
    def seconds(self) -> float:
        """That a step takes at least."""
        return max(self._limits.values())

    @property
    def binding(self) -> str:
        """Which of the two it is."""
        return max(self._limits, key=self._limits.get)

    @property
    def _limits(self) -> dict[str, float]:
        return {
            "arithmetic": self.flops / self.peak_flops,
            "memory": self.bytes / self.peak_bytes,
        }


def of_training(model: str, batch: int, precision: str) -> Roof:
    """Returns the roof of one training step; to be called in a process of its own."""
    import jax
    import jax.numpy as jnp

    from vae_jax.training.step import make_train_step

    models.set_up(precision)
    config = models.comparable(model, precision)
    recipe, state, hyperparameters = models.our_training(config, steps_per_epoch=100)
    images = models.our_batch(models.scrolled(batch, config.data.image_size, config.data.channels))
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
        peak_flops=2 * _SIDE**3 / _fastest(multiply, square),
        peak_bytes=2 * numbers.nbytes / _fastest(jax.jit(jnp.negative), numbers),
    )


def _fastest(function, array) -> float:
    """Returns the fewest seconds of a few calls, compilation left out."""
    function(array).block_until_ready()
    seconds = []
    for _ in range(_TRIES):
        start = time.perf_counter()
        function(array).block_until_ready()
        seconds.append(time.perf_counter() - start)
    return min(seconds)

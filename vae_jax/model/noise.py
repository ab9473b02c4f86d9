"""Randomness as a function of (seed, stream, step, example).

No key is split in a loop and none is saved: a key is derived from where it is used. So a resumed run is
the same run, and the noise of an image does not depend on its batch or on how many devices share it.
"""

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int, Key, UInt32

# A stream's number enters every key: append new names, never reorder.
STREAMS = ("init", "latent", "augment", "shuffle", "eval", "sample")


def stream_key(seed: UInt32[Array, ""] | int, name: str) -> Key[Array, ""]:
    """Returns the root key of a named stream.

    Raises:
        ValueError: if there is no such stream.
    """
    return jax.random.fold_in(jax.random.key(seed), STREAMS.index(name))


def example_keys(
    root: Key[Array, ""], step: Int[Array, ""] | int, index: Int[Array, "B"]
) -> Key[Array, "B"]:
    """Returns one key an example, from the step and the example's index in the data set."""
    at_step = jax.random.fold_in(root, step)
    return jax.vmap(lambda i: jax.random.fold_in(at_step, i))(index)


def draw_normal(keys: Key[Array, "B"], size: int) -> Float[Array, "B size"]:
    """Draws N(0, 1) for each key, float32."""
    return jax.vmap(lambda key: jax.random.normal(key, (size,), jnp.float32))(keys)


def draw_permutation(seed: int, epoch: int, length: int) -> np.ndarray:
    """Returns the order of the training images in an epoch, int32 [length]."""
    rng = np.random.default_rng((seed, STREAMS.index("shuffle"), epoch))
    return rng.permutation(length).astype(np.int32)

"""Randomness as a function of (seed, stream, step, example).

Every key is derived where it is used; no key is split in a loop and none is saved. A resumed run therefore
equals a run that was never stopped, and the noise of an image does not depend on its batch or on the number
of devices.
"""

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int, Key, UInt32

# The position of a stream in this list enters its keys: append new names, and never reorder them.
STREAMS = ("init", "latent", "augment", "shuffle", "eval", "sample", "binarise")

# Numbers that separate the draws of the stream `eval`. They enter the keys of an image: never change them.
# Steps: of all scores, and of the sweep over noise levels.
EVAL_STEP, SWEEP_STEP = 0, 3  # the sweep must not repeat the noise behind `noisy_mse`
# Uses of the key of an image in one scoring pass: posterior sample, noise on the pixels, scores that draw.
LATENT_USE, PIXEL_USE, SCORE_USE = 0, 1, 2
# Scores that draw, each with the number that is folded into the key of the use `SCORE_USE`.
IMPORTANCE_DRAW, REGRET_DRAW = 0, 1
# The i-th branch of a model of several observations folds in this number plus i.
FIRST_BRANCH = 1000
# The i-th sample of `scoring.samples` folds in this number plus i.
FIRST_SAMPLE = 2000


def stream_key(seed: UInt32[Array, ""] | int, name: str) -> Key[Array, ""]:
    """Returns the root key of a named stream.

    Raises:
        ValueError: if no stream has this name.
    """
    return jax.random.fold_in(jax.random.key(seed), STREAMS.index(name))


def example_keys(
    root: Key[Array, ""], step: Int[Array, ""] | int, index: Int[Array, "B"]
) -> Key[Array, "B"]:
    """Returns one key per example, derived from the step and from the index of the example.

    In training the index is the row of the image among the training images. In scoring it is a number that
    depends on the pixels alone (`data.batches.compute_content_index`), so a score does not depend on the
    other images.
    """
    step_key = jax.random.fold_in(root, step)
    return jax.vmap(lambda i: jax.random.fold_in(step_key, i))(index)


def fold_into_each(keys: Key[Array, "B"], number: Int[Array, ""] | int) -> Key[Array, "B"]:
    """Returns one new key per example, derived from its key and a number that all examples share."""
    return jax.vmap(lambda key: jax.random.fold_in(key, number))(keys)


def draw_normal(keys: Key[Array, "B"], size: int) -> Float[Array, "B size"]:
    """Draws `size` independent values from N(0, 1) for each key, float32."""
    return jax.vmap(lambda key: jax.random.normal(key, (size,), jnp.float32))(keys)


def draw_permutation(seed: int, epoch: int, length: int) -> np.ndarray:
    """Returns the order of the training images in an epoch, int32 [length]."""
    rng = np.random.default_rng((seed, STREAMS.index("shuffle"), epoch))
    return rng.permutation(length).astype(np.int32)

"""Distances to the nearest training normal. N test images, n training normals, F features."""

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float
from sklearn.metrics import pairwise_distances_argmin_min

_EXACT = jax.lax.Precision.HIGHEST  # on a GPU, TF32 would choose a wrong neighbour


def measure_nearest(
    train: Float[np.ndarray, "n F"], test: Float[np.ndarray, "N F"]
) -> Float[np.ndarray, "N"]:
    """Returns the Euclidean distance of each row of `test` to the nearest row of `train`."""
    _, distance = pairwise_distances_argmin_min(test, train)
    return distance.astype(np.float64)


def trace_nearest(train: Float[Array, "n F"], test: Float[Array, "*N F"]) -> Float[Array, "*N"]:
    """Returns what `measure_nearest` returns, as a function that JAX can trace.

    |a - b|^2 - |a|^2 gives the nearest row. The distance itself is computed again, because a small distance
    is lost in the difference of large squares.
    """
    products = jnp.matmul(test, train.T, precision=_EXACT)  # [*N, n]
    squares = jnp.sum(jnp.square(train), axis=1)
    squares = squares.reshape((1,) * (test.ndim - 1) + (-1,))
    nearest = jnp.argmin(squares - 2 * products, axis=-1)
    return jnp.linalg.norm(test - train[nearest], axis=-1)

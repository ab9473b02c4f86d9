"""Distances to the nearest training normal. N test images, n training normals, F features."""

import numpy as np
from jaxtyping import Float
from sklearn.metrics import pairwise_distances_argmin_min


def measure_nearest(
    train: Float[np.ndarray, "n F"], test: Float[np.ndarray, "N F"]
) -> Float[np.ndarray, "N"]:
    """Returns the Euclidean distance of each row of `test` to the nearest row of `train`."""
    _, distance = pairwise_distances_argmin_min(test, train)
    return distance.astype(np.float64)

import numpy as np
from scipy.spatial.distance import cdist

from vae_jax.scoring.nearest import measure_nearest


def test_the_distance_is_the_smallest_of_all():
    rng = np.random.default_rng(0)
    train, test = rng.normal(size=(30, 7)), rng.normal(size=(11, 7))
    np.testing.assert_allclose(measure_nearest(train, test), cdist(test, train).min(axis=1))

import numpy as np
import pytest
from sklearn.metrics import silhouette_score

from vae_jax.errors import UserError
from vae_jax.exploration import maps


def groups(dims=10):
    rng = np.random.default_rng(0)
    label = np.arange(45) % 3
    return (4 * rng.normal(size=(3, dims)))[label] + rng.normal(size=(45, dims)), label


def test_principal_components_keep_the_largest_variance():
    values, _ = groups()
    variances = np.linalg.eigvalsh(np.cov(values, rowvar=False))[::-1]
    np.testing.assert_allclose(maps.pca(values, 0).var(axis=0, ddof=1), variances[:2])


def test_tsne_keeps_groups_apart_and_is_the_same_for_the_same_seed():
    values, label = groups(dims=60)
    found = maps.tsne(values, 0)
    assert silhouette_score(found, label) > 0.5
    np.testing.assert_array_equal(maps.tsne(values, 0), found)


def test_a_latent_space_of_two_dimensions_is_its_own_map():
    values = np.random.default_rng(1).normal(size=(6, 2))
    assert maps.maps_for(2) == ("latent space",)
    np.testing.assert_array_equal(maps.MAPS["latent space"](values, 0), values)
    assert set(maps.maps_for(16)) == {"PCA of codes", "t-SNE of codes"}


@pytest.mark.parametrize("name", ["PCA of codes", "t-SNE of codes", "latent space"])
def test_a_map_of_one_image_is_refused(name):
    with pytest.raises(UserError, match="a map of 1 image says nothing"):
        maps.MAPS[name](np.zeros((1, 2)), 0)


def test_a_latent_space_of_one_dimension_has_no_map():
    with pytest.raises(UserError, match="one dimension"):
        maps.pca(np.zeros((9, 1)), 0)

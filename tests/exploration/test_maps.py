import numpy as np
import pytest
from sklearn.metrics import silhouette_score

from vae_jax.errors import UserError
from vae_jax.exploration import maps


def make_groups(num_dimensions=10):
    """Returns 45 points in three groups, and the group of each."""
    rng = np.random.default_rng(0)
    group = np.arange(45) % 3
    centres = 4 * rng.normal(size=(3, num_dimensions))
    return centres[group] + rng.normal(size=(45, num_dimensions)), group


def test_principal_components_have_the_largest_variances():
    values, _ = make_groups()
    variances = np.linalg.eigvalsh(np.cov(values, rowvar=False))[::-1]
    np.testing.assert_allclose(maps.pca(values, 0).var(axis=0, ddof=1), variances[:2])


def test_tsne_separates_groups_and_gives_the_same_map_for_the_same_seed():
    values, group = make_groups(num_dimensions=60)
    places = maps.tsne(values, 0)
    assert silhouette_score(places, group) > 0.5
    np.testing.assert_array_equal(maps.tsne(values, 0), places)


def test_a_latent_space_of_two_dimensions_is_its_own_map():
    values = np.random.default_rng(1).normal(size=(6, 2))
    assert maps.choose_maps(2) == ("latent space",)
    np.testing.assert_array_equal(maps.MAPS["latent space"](values, 0), values)


def test_a_latent_space_of_more_dimensions_has_maps_by_tsne_and_pca():
    assert set(maps.choose_maps(16)) == {"PCA of codes", "t-SNE of codes"}


@pytest.mark.parametrize("name", ["PCA of codes", "t-SNE of codes", "latent space"])
def test_a_map_of_one_image_is_rejected(name):
    with pytest.raises(UserError, match="a map needs at least 5 images; found 1"):
        maps.MAPS[name](np.zeros((1, 2)), 0)


def test_a_latent_space_of_one_dimension_has_no_map():
    with pytest.raises(UserError, match="at least two dimensions; found one"):
        maps.pca(np.zeros((9, 1)), 0)

import pytest

from vae_jax.model.distributions import LIKELIHOODS
from vae_jax.model.likelihood_meaning import describe_meaning


def test_only_probabilities_of_what_is_stored_are_likelihoods():
    likelihoods = {name for name in LIKELIHOODS if not describe_meaning(name, is_binary=False)}
    assert likelihoods == {"discretised_logistic"}
    assert describe_meaning("bernoulli", is_binary=True) == ""


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("bernoulli", "cross-entropies and no likelihoods"),
        ("gaussian_optimal", "does not integrate to 1"),
        ("continuous_bernoulli", "bits_per_dim comes from a density"),
    ],
)
def test_the_reason_is_told(name, words):
    assert words in describe_meaning(name, is_binary=False)


def test_a_likelihood_of_features_is_not_one_of_images():
    assert "features or bands" in describe_meaning("normal", False, explains_pixels=False)
